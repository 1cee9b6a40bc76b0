"""The costs that are drawn and judged of each line, and why some of them do not grow as a straight line."""

from __future__ import annotations

from typing import NamedTuple

from .straight import Fit


class Cost(NamedTuple):
    title: str
    unit: str
    scale: float  # of the unit in seconds or bytes
    digits: int


COSTS = {
    "step": Cost("a step", "ms", 1e3, 2),
    "unet": Cost("a step, the UNet's own", "ms", 1e3, 2),
    "rest": Cost("a step, no inference", "ms", 1e3, 2),
    "lag_p99": Cost("event-loop lag, p99", "ms", 1e3, 1),
    "memory": Cost("memory", "MB", 1e-6, 1),
}

# By line and cost; found by looking, on 2026-11-27.
REASONS: dict[tuple[str, str], str] = {}


def verdict(line: str, cost: str, fit: Fit) -> str:
    """ "straight", or the reason why not."""
    return "straight" if fit.is_straight else REASONS.get((line, cost), "not looked into yet")
