"""What a metered server wrote of a stretch of time, in the numbers that are compared."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from benchmark.summary import percentile


class Reading(NamedTuple):
    at: float  # a time.monotonic()
    what: str  # "lag", "unet" or "other"
    seconds: float
    rows: int


class Stretch(NamedTuple):
    """Seconds, but for `steps`: those that were drawn. `unet` and `other` are of all inferences together."""

    wall: float
    steps: int
    unet: float
    other: float
    lag_p99: float
    lag_most: float


def read(path: Path) -> list[Reading]:
    """All lines but one that is being written."""
    lines = path.read_text(encoding="ascii").splitlines(keepends=True)
    words = (line.split() for line in lines if line.endswith("\n"))
    return [Reading(float(at), what, float(seconds), int(rows)) for at, what, seconds, rows in words]


def stretch(readings: Iterable[Reading], began: float, ended: float) -> Stretch:
    """What lies between two moments. Raises ValueError where no step was drawn, or the loop never answered."""
    within = [reading for reading in readings if began <= reading.at <= ended]
    steps = sum(reading.rows for reading in within if reading.what == "unet")
    lags = [reading.seconds for reading in within if reading.what == "lag"]
    if not steps or not lags:
        raise ValueError(f"{ended - began:.1f} s hold {steps} steps and {len(lags)} looks at the loop: nothing to tell")
    unet, other = (sum(each.seconds for each in within if each.what == what) for what in ("unet", "other"))
    return Stretch(ended - began, steps, unet, other, percentile(lags, 0.99), max(lags))
