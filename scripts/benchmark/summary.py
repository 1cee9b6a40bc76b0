"""Repeated measurements in a few numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Summary:
    """Of n values: the median, the least, and the quartiles, between which half of them lie."""

    n: int
    median: float
    least: float
    quartiles: tuple[float, float]

    @property
    def spread(self) -> float:
        """The distance between the quartiles, as a share of the median."""
        return (self.quartiles[1] - self.quartiles[0]) / self.median if self.median else 0.0


def summary(values: Sequence[float]) -> Summary:
    """The summary of some values. Raises ValueError for none."""
    if not values:
        raise ValueError("a summary needs at least one value")
    low, median, high = (float(value) for value in np.percentile(values, (25, 50, 75)))
    return Summary(len(values), median, float(min(values)), (low, high))


def percentile(values: Sequence[float], share: float) -> float:
    """The least of the values that `share` (0 to 1) of them do not exceed."""
    return float(np.percentile(values, 100 * share, method="higher"))


def median(values: Sequence[float]) -> float:
    return summary(values).median
