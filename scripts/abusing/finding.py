"""What a row says: a figure and its goal; and how much a row is to do."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Finding:
    """A figure. A control is a figure that shows that the measure can fail, or that the abuse took place."""

    what: str
    measured: str
    goal: str
    met: bool
    control: bool = False

    @property
    def verdict(self) -> str:
        if self.control:
            return "control holds" if self.met else "**control fails**"
        return "met" if self.met else "**not met**"


@dataclass(frozen=True)
class Effort:
    """How much a row does: all of it, or what takes some seconds."""

    quick: bool = False

    def pick(self, full: T, quick: T) -> T:
        return quick if self.quick else full


def at_most(what: str, value: float, limit: float, unit: str = "", control: bool = False) -> Finding:
    return Finding(what, number(value) + unit, f"<= {number(limit)}{unit}", value <= limit, control)


def at_least(what: str, value: float, limit: float, unit: str = "", control: bool = False) -> Finding:
    return Finding(what, number(value) + unit, f">= {number(limit)}{unit}", value >= limit, control)


def number(value: float) -> str:
    """Three digits, and whole numbers as they are."""
    return str(int(value)) if math.isfinite(value) and value == int(value) else f"{value:.3g}"


def percentile(values: Iterable[float], share: float) -> float:
    """One of the values, which so large a share of them does not exceed; nan if there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def jain(shares: Iterable[float]) -> float:
    """Jain's index: 1 if all have the same, 1/n if one has it all; 0 if nobody has anything."""
    values = list(shares)
    squares = sum(value**2 for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else 0.0
