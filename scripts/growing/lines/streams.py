"""Streams: so many callers, each on its own connection, watch a picture come up, a preview at each step."""

from __future__ import annotations

from benchmark.folders import DEMO

from growing.point import Work

PICTURES = 12  # drawn at each point at least, so that it lasts some seconds
SAYS = (
    "Each caller has a connection of its own and watches its picture (demo-vega, 128 px, 5 steps) with a preview "
    "after every step; all have a slot. The client that hears all of it runs on the same two cores."
)


def work(count: int) -> Work:
    asked = {"edge": 128, "steps": 5, "previews": 1}
    each = max(1, PICTURES // count)
    models = {"demo-vega": DEMO / "demo-vega"}
    options = (f"--slots={count}", f"--queue={count}")
    return Work(models, "streams", {"callers": ["demo-vega"] * count, "each": each, **asked}, options)
