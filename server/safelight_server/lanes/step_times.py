"""How long networks took: from this come the seconds of work that a job has left."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Any

from .network import Shape

# Of the last runs. Their median shrugs off a first run, which prepares the graph for a new shape, and the very first
# one, which packs the weights; of two, the lower is taken.
KEPT = 5


class StepTimes:
    """Seconds by network and shape of its first input, as one lane has observed them."""

    def __init__(self) -> None:
        self._seen: defaultdict[str, dict[Shape, deque[float]]] = defaultdict(dict)
        # They are asked for at every choice, of every entry that waits, and change with an inference alone.
        self._medians: dict[tuple[str, Shape], float] = {}

    def observe(self, network: str, shape: Shape, seconds: float) -> None:
        seen = self._seen[network].setdefault(shape, deque(maxlen=KEPT))
        seen.append(seconds)
        self._medians[network, shape] = statistics.median_low(seen)

    def seconds(self, network: str, shape: Shape) -> float:
        """The median of the last runs. A shape that never ran is scaled by its size from the nearest one that did.

        0.0 for a network that never ran; a model's warm-up runs them all.
        """
        own = self._medians.get((network, shape))
        if own is not None:
            return own
        seen = self._seen[network]
        if not seen:
            return 0.0
        size = math.prod(shape)
        nearest = min(seen, key=lambda other: abs(math.log(math.prod(other) / size)))
        return self._medians[network, nearest] * size / math.prod(nearest)

    def knows(self, network: str, shape: Shape) -> bool:
        """Whether this very shape has run."""
        return shape in self._seen[network]

    def told(self, network: str) -> list[list[Any]]:
        """The seconds of each shape that ran, in lists and numbers: for `recall`."""
        return [[list(shape), self._medians[network, shape]] for shape in self._seen.get(network, {})]

    def recall(self, network: str, told: Iterable[Any]) -> None:
        for shape, seconds in told:
            self.observe(network, tuple(shape), seconds)

    def forget(self, network: str) -> None:
        self._seen.pop(network, None)
        self._medians = {known: median for known, median in self._medians.items() if known[0] != network}
