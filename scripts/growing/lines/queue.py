"""A queue: so many jobs wait for a slot, and nobody watches them."""

from __future__ import annotations

from benchmark.folders import DEMO

from growing.point import Work

SLOTS = 8
SAYS = (
    "So many jobs (demo-vega, 64 px, 20 steps) are handed in with Submit, behind eight that hold all slots. These are "
    "cancelled then, and what is measured ends with the first 40 jobs of the queue; all others wait all the time."
)


def work(count: int) -> Work:
    asked = {"jobs": count, "plugs": SLOTS, "model": "demo-vega", "edge": 64, "steps": 20}
    options = (f"--slots={SLOTS}", f"--queue={count + SLOTS}", "--max-wait=1000000")
    return Work({"demo-vega": DEMO / "demo-vega"}, "queue", asked, options)
