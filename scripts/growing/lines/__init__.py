"""The four lines: what grows, to which points, what a server is asked at each, and what is told of it beside."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from growing.point import Work

from . import models, queue, sizes, streams


class Line(NamedTuple):
    """A point is what `work` takes, and lies at `place` on the axis. `per` of `unit` is what one more is told for.

    `more` names what is told of a point beside, in seconds.
    """

    title: str
    axis: str
    points: tuple[int, ...]
    quick: tuple[int, ...]
    work: Callable[[int], Work]
    says: str
    unit: str
    more: tuple[str, ...] = ()
    place: Callable[[int], float] = float
    per: float = 1


STREAMS = (1, 5, 20, 50, 100, 200)
WAITING = (1, 10, 100, 300, 1000)
EDGES = (64, 128, 256, 512, 1024, 2048)
MEGAPIXEL = 1e6

LINES = {
    "streams": Line(
        "streams at once", "streams", STREAMS, (1, 2, 4), streams.work, streams.SAYS, "stream", ("first step",)
    ),
    "models": Line("models", "models", (1, 2, 4, 8), (1, 2, 3), models.work, models.SAYS, "model", ("start",)),
    "queue": Line("waiting jobs", "jobs", WAITING, (1, 4, 8), queue.work, queue.SAYS, "job", ("handing one in",)),
    "sizes": Line(
        "pixels",
        "pixels a side",
        EDGES,
        (64, 96, 128),
        sizes.work,
        sizes.SAYS,
        "megapixel",
        place=lambda edge: edge**2,
        per=MEGAPIXEL,
    ),
}
