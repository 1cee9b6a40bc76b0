"""Jobs that a server before this one has left: they go on from their last checkpoint, or begin again and say why."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from safelight_server.callers import Trace
from safelight_server.diffusion.plan import Plan
from safelight_server.errors import JobError
from safelight_server.events import Done, Event, Image, Rested, Resumed, Started
from safelight_server.job_store.store import Store, StoredJob
from safelight_server.jobs import JobState, OnDisconnect

from . import watching
from .engine import content_of
from .event_log import Numbered
from .job_book import JobBook
from .job_record import Ask, JobRecord, failure_of, terms_of
from .job_runner import Beginning

log = logging.getLogger(__name__)

PlanAgain = Callable[[bytes, str], Awaitable[Plan]]  # of a stored request and the job's id

CHANGED = "what its pixels hang on is not the same any more"
DAMAGED = "its checkpoint is damaged"


class Left(NamedTuple):
    """What is there of a job that was left."""

    lasting: list[Numbered[Event]]
    last: int  # no number up to this one may be given again
    beginning: Beginning

    @property
    def state(self) -> JobState | None:
        """In which it ended, if that was told, and only the job's state was not stored yet."""
        if not any(isinstance(event, Done) for _, event in self.lasting):
            return None
        rests = any(isinstance(event, Rested) for _, event in self.lasting)
        return JobState.RESTING if rests else JobState.SUCCEEDED


class Resuming:
    """Takes up the jobs of a book's store. `plan_again` makes a plan of what was asked for then."""

    def __init__(self, book: JobBook, plan_again: PlanAgain) -> None:
        self._book, self._store, self._plan_again = book, book.store, plan_again
        book.wake = self.wake

    async def set_clock(self) -> None:
        """First of all: no new job is older than one of the store."""
        self._book.clock.begin_after(await self._store.latest())

    async def resume(self) -> None:
        """Takes up those that are to go on whether anybody waits or not.

        The others wait a minute for their callers to come back, and are cancelled then.
        """
        waiting = []
        for row in await self._store.unfinished():
            if terms_of(row.record["terms"]).on_disconnect is OnDisconnect.CANCEL:
                waiting.append(row.id)
            elif row.model in self._book.engine.models:
                await self._try_to_wake(row.id)
            else:  # it takes until its model is loaded: the server is ready before that
                self._book.later(self._try_to_wake(row.id))
        self._book.later(self._drop_unless_asked_for(waiting))

    async def _try_to_wake(self, job_id: str) -> None:
        try:
            await self.wake(job_id)
        except JobError as error:
            log.warning("job %s cannot go on now, and waits until it is asked for: %s", job_id, error)

    async def wake(self, job_id: str) -> None:
        """Takes up one of them; one that is taken up already is left alone. Raises what Library.held does."""
        async with self._book.one_at_a_time(f"job {job_id}"):
            row = await self._store.get(job_id)
            if row is None or row.state.final or job_id in self._book.live:
                return
            try:
                plan = await self._plan_again(await self._store.request(job_id), job_id)
            except JobError as error:  # its model is not served any more, or takes less than it did
                log.warning("job %s cannot go on: %s", job_id, error)
                self._end(row, JobState.FAILED, error)
                return
            async with self._book.engine.library.held(plan.models):
                left = await left_of(self._store, job_id, row.reserved, self._book.hangs_on(plan))
                if left.state is not None:
                    self._end(row, left.state)
                else:
                    await self._go_on(plan, left, row)

    async def _go_on(self, plan: Plan, left: Left, row: StoredJob) -> None:
        book, content = self._book, await content_of(plan.job) + row.id.encode()
        ask = Ask(terms_of(row.record["terms"]), row.digest, caller=row.owner or None, priority=plan.job.priority)
        events = book.log_of(row.id, left.lasting, left.last)
        drawing = book.drawing(plan, content, ask, left.beginning, events)
        trace = Trace(*row.record.get("trace", ()))  # older servers stored none
        record = JobRecord(row.id, ask, drawing, row.created, row.owner, row.record["forked_from"], trace, stored=True)
        book.enter(record, resumed=True)
        watching.expect(book, record)
        book.engine.begin(drawing, record)
        at = left.beginning.resumed or Resumed(0, 0)
        log.info("job %s goes on: picture %d after step %d %s", row.id, at.index + 1, at.step, at.warning)

    async def _drop_unless_asked_for(self, job_ids: Sequence[str]) -> None:
        await asyncio.sleep(watching.AT_FIRST)
        for job_id in job_ids:
            row = await self._store.get(job_id)
            if row is not None and not row.state.final and job_id not in self._book.live:
                self._end(row, JobState.CANCELLED)

    def _end(self, row: StoredJob, state: JobState, error: JobError | None = None) -> None:
        now, retain = self._book.clock.now(), terms_of(row.record["terms"]).retain
        self._store.move(row.id, state, {**row.record, "failure": failure_of(error)}, now, now + retain)


async def left_of(store: Store, job_id: str, reserved: int, hangs_on: str) -> Left:
    """Where a job goes on whose pixels may hang on `hangs_on` alone."""
    lasting = [Numbered(*pair) for pair in await store.events(job_id)]
    last = max(reserved, *(sequence for sequence, _ in lasting), 0)
    images = sum(isinstance(event, Image | Rested) for _, event in lasting)
    begun = any(isinstance(event, Started) for _, event in lasting)
    done, checkpoint, warning = 0, None, ""
    if kept := [step for image, step in await store.kept_steps(job_id) if image == images]:
        found = await store.checkpoint(job_id, images, kept[-1])
        if found is not None and found[1] == hangs_on:
            done, checkpoint = kept[-1], found[0]
        else:
            warning = f"the picture begins again: {DAMAGED if found is None else CHANGED}"
    return Left(lasting, last, Beginning(images, checkpoint, Resumed(images, done, warning) if begun else None))
