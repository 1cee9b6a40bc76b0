"""What was measured of a way, and which ways are worth taking: no other is both faster and nearer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

NEAREST = 60.0  # dB: no eye tells more, and equal pictures would be infinitely near


class Point(NamedTuple):
    """`seconds`: the median of a picture. `near`: dB of the exact picture, at most NEAREST; `worst` of all pictures."""

    name: str
    kind: str
    seconds: float
    spread: float  # the distance of the quartiles, as a share of the seconds
    near: float
    worst: float


def front(points: Sequence[Point]) -> list[Point]:
    """Those that no other beats, fastest first. Of equal ones, the first in the table counts."""
    best: list[Point] = []
    for point in sorted(points, key=lambda point: (point.seconds, -point.near)):
        if not best or point.near > best[-1].near:
            best.append(point)
    return best
