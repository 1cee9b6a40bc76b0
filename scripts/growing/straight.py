"""Whether a cost grows as a straight line: what it is for none, what one more adds, and how far the points are off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

POINTS = 3  # at least: any two are on a straight line
NEAR = 0.2  # of its own height: how far off a point may be of a line that is called straight


class Fit(NamedTuple):
    """`base` for none, `each` for one more; `off` is the largest distance of a point, as a share of its height."""

    base: float
    each: float
    off: float

    @property
    def is_straight(self) -> bool:
        return self.off <= NEAR

    def at(self, place: float) -> float:
        return self.base + self.each * place


def fit(places: Sequence[float], heights: Sequence[float]) -> Fit:
    """The line with the least relative distances. Raises ValueError for fewer than three points, or one at 0."""
    x, y = np.asarray(places, float), np.asarray(heights, float)
    if len(x) < POINTS or not (y > 0).all():
        raise ValueError("a line needs three points at least, all above 0")
    (base, each), *_ = np.linalg.lstsq(np.column_stack([1 / y, x / y]), np.ones(len(x)), rcond=None)
    off = float(np.abs((base + each * x) / y - 1).max())
    return Fit(float(base), float(each), off)
