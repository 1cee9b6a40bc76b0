"""How long networks take, as observed: what the seconds of remaining work are made of."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict, deque

Shape = tuple[int, ...]
KEPT = 5  # of the last runs: their median shrugs off a first run, which prepares the graph for a new shape


class StepTimes:
    """Seconds by network and shape of its first input; a shape that was never run is scaled from the nearest."""

    def __init__(self) -> None:
        self._seen: defaultdict[str, dict[Shape, deque[float]]] = defaultdict(dict)

    def observe(self, network: str, shape: Shape, seconds: float) -> None:
        self._seen[network].setdefault(shape, deque(maxlen=KEPT)).append(seconds)

    def seconds(self, network: str, shape: Shape) -> float:
        """0.0 for a network that never ran: warming runs them all."""
        seen = self._seen[network]
        if not seen:
            return 0.0
        size = math.prod(shape)
        nearest = min(seen, key=lambda other: abs(math.log(math.prod(other) / size)))
        return statistics.median(seen[nearest]) * size / math.prod(nearest)
