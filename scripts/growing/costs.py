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

FOUND = "2026-11-27"  # the day of the runs that were looked into; what bends on another day may have other reasons
JOINED = (
    "steps of many streams run as one batch, which takes less for each; and the machine had other work, now more, now "
    "less: the UNet's own time changes as much"
)
ENDED = (
    "ending the eight jobs before is spread over 20 steps for one job, over 800 from 40 jobs on; and fewer "
    "than eight jobs make smaller batches. From 100 on it is flat"
)
NO_TREND = "no trend in the number of models: the second had the machine less for itself"
ATTENTION = (
    "attention grows with the square of the pixels: 4 times the pixels of 512 px take the UNet 5.7 times as long"
)
FLAT = "no trend: it is the same few ms, higher where other processes wanted the cores"
REASONS: dict[tuple[str, str], str] = {  # by line and cost
    **{("streams", cost): JOINED for cost in ("step", "unet", "rest")},
    ("streams", "lag_p99"): FLAT,
    **{("models", cost): NO_TREND for cost in ("step", "unet", "lag_p99")},
    **{("queue", cost): ENDED for cost in ("step", "unet", "rest")},
    ("queue", "lag_p99"): (
        "whoever comes or goes has every waiting job asked for its seconds left: for its place in the queue, and for "
        "whether there is time for one more. By a profile that is half of what the loop does with 1,000 jobs, 40 µs a "
        "waiting job, in one piece: so one hand-in is a straight line, and p99 bends where such pieces are 1 % of all"
    ),
    ("sizes", "step"): ATTENTION,
    ("sizes", "unet"): ATTENTION,
    ("sizes", "rest"): "4 to 7 ms a step that no pixel changes, and then the pixels: PNG, arithmetic on the latents",
    ("sizes", "lag_p99"): FLAT,
}


def verdict(line: str, cost: str, fit: Fit, day: str) -> str:
    """The word straight, or the reason why not."""
    known = REASONS if day.startswith(FOUND) else {}
    return "straight" if fit.is_straight else known.get((line, cost), "not looked into yet")
