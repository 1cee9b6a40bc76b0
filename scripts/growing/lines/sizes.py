"""Sizes: one caller, larger and larger pictures."""

from __future__ import annotations

from benchmark.folders import DEMO

from growing.point import Work

STEPS = 4
MOST, PIXELS = 24, 2**21  # pictures: as many as have so many pixels together
SAYS = "One caller draws square pictures with demo-xl, 4 steps each. A point's place is its pixels: 64² to 2048²."


def work(edge: int) -> Work:
    each = max(1, min(MOST, PIXELS // edge**2))
    asked = {"callers": ["demo-xl"], "each": each, "edge": edge, "steps": STEPS, "previews": 0}
    return Work({"demo-xl": DEMO / "demo-xl"}, "streams", asked)
