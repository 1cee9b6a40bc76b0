"""Jobs that a server before this one has left: they go on from their last checkpoint, or begin again and say why."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from safelight_server.diffusion.plan import Plan
from safelight_server.errors import JobError
from safelight_server.job_store.store import Store, StoredJob
from safelight_server.jobs import Done, Event, Image, JobState, Rested, Resumed, Started

from .drawings import Drawing
from .event_log import Numbered
from .job_record import failure_of
from .job_runner import Beginning

log = logging.getLogger(__name__)

PlanAgain = Callable[[bytes, str], Awaitable[Plan]]  # of a stored request and the job's id

CHANGED = "what its pictures hang on is not the same any more"
DAMAGED = "its checkpoint is damaged"


class Left(NamedTuple):
    """What is there of a drawing that was left."""

    lasting: list[Numbered[Event]]
    last: int  # no number up to this one may be given again
    beginning: Beginning

    @property
    def is_done(self) -> bool:
        """Its end was told, and only the state of its jobs was not stored yet."""
        return any(isinstance(event, Done) for _, event in self.lasting)

    @property
    def state(self) -> JobState:
        """In which it ended."""
        rests = any(isinstance(event, Rested) for _, event in self.lasting)
        return JobState.RESTING if rests else JobState.SUCCEEDED


async def left_of(store: Store, drawing: str, hangs_on: str) -> Left:
    """Where a drawing goes on that may hang on `hangs_on` alone."""
    lasting = [Numbered(*pair) for pair in await store.events(drawing)]
    last = max(await store.reserved(drawing), *(sequence for sequence, _ in lasting), 0)
    images = sum(isinstance(event, Image | Rested) for _, event in lasting)
    begun = any(isinstance(event, Started) for _, event in lasting)
    kept = [step for image, step in await store.kept_steps(drawing) if image == images]
    if not kept:
        return Left(lasting, last, Beginning(images, None, Resumed(images, 0) if begun else None))
    found = await store.checkpoint(drawing, images, kept[-1])
    if found is None or found[1] != hangs_on:
        why = DAMAGED if found is None else CHANGED
        return Left(lasting, last, Beginning(images, None, Resumed(images, 0, f"the picture begins again: {why}")))
    return Left(lasting, last, Beginning(images, found[0], Resumed(images, found[0].done) if begun else None))


def give_up(store: Store, rows: Sequence[StoredJob], error: JobError, now: float) -> None:
    """Jobs that cannot go on here: their model is not served any more, or takes less than it did."""
    for row in rows:
        log.warning("job %s cannot go on: %s", row.id, error)
        store.move(row.id, JobState.FAILED, {**row.record, "failure": failure_of(error)}, now, now + retain_of(row))


def retain_of(row: StoredJob) -> float:
    """Seconds that a job is kept after its end."""
    return float(row.record["terms"]["retain"])


def log_resumed(drawing: Drawing, left: Left) -> None:
    resumed = left.beginning.resumed
    if resumed is None:
        log.info("job %s begins", drawing.id)
    else:
        log.info("job %s goes on: image %d, after step %d %s", drawing.id, *resumed_of(resumed))


def resumed_of(resumed: Resumed) -> tuple[int, int, str]:
    return resumed.index, resumed.step, f"({resumed.warning})" if resumed.warning else ""
