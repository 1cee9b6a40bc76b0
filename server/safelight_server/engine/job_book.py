"""The jobs by their ids: taken once, watched by any number of calls, and told to whoever asks, also after their end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from safelight_server.diffusion.plan import Plan
from safelight_server.errors import (
    CheckpointGone,
    JobCancelled,
    JobError,
    JobFailed,
    JobNotFound,
    RequestIdReused,
    SequenceAhead,
    ShuttingDown,
    StoreFull,
)
from safelight_server.job_store.checkpoints import Checkpoint
from safelight_server.job_store.store import Store, StoredJob
from safelight_server.jobs import Event, JobState, OnDisconnect, Previews

from . import receipts, resuming
from .checkpointing import Checkpointing
from .drawings import Drawing
from .engine import Engine, content_of
from .event_log import BLOCK, EventLog, Numbered
from .job_record import Ask, JobRecord, JobView, WallClock, from_row, terms_of, to_json
from .job_runner import AT_THE_START, Beginning
from .resuming import Left, PlanAgain

log = logging.getLogger(__name__)

UNFINISHED = (JobState.QUEUED, JobState.RUNNING)
EXPIRY = 30.0  # seconds between two looks for jobs that are over their time
AT_FIRST = 60.0  # seconds that a job waits for its first caller, if it is to end with the last one


class Work(NamedTuple):
    """A plan, and where it begins."""

    plan: Plan
    beginning: Beginning = AT_THE_START
    forked_from: str = ""


class JobBook:
    """All jobs of an engine: those that are not over in memory, and in the store those that may be asked for again."""

    def __init__(self, engine: Engine, store: Store, plan_again: PlanAgain | None = None) -> None:
        self.engine, self.store = engine, store
        self.plan_again = plan_again
        self.clock = WallClock()
        self._live: dict[str, JobRecord] = {}
        self._by_request: dict[str, str] = {}  # ids of jobs, of those that are not over
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()

    # ---- taking ----

    async def take(self, ask: Ask, work: Callable[[], Awaitable[Work]]) -> str:
        """The id of the job for what is asked: the one that has this request id, or a new one, whose plan `work` makes.

        Raises RequestIdReused, StoreFull, what Engine.admit raises, and what `work` does.
        """
        async with self._one_at_a_time(ask.terms.request_id):
            known = await self._known(ask)
            return known or (await self._new(ask, await work())).id

    async def _known(self, ask: Ask) -> str | None:
        request_id = ask.terms.request_id
        if not request_id:
            return None
        live = self._live.get(self._by_request.get(request_id, ""))
        found = (live.id, live.ask.digest) if live else None
        if found is None and (row := await self.store.by_request(request_id)):
            found = row.id, row.digest
        if found is not None and found[1] != ask.digest:
            raise RequestIdReused(request_id, found[0])
        return found[0] if found else None

    async def _new(self, ask: Ask, work: Work) -> JobRecord:
        plan, lasts = work.plan, ask.terms.lasts
        content = await content_of(plan.job) + bytes([lasts])  # what is stored is not drawn with what is not
        drawing = self.engine.drawings.sharing(content)
        if drawing is None:
            drawing = self._drawing(ask, work, content)
            self.engine.admit(drawing, None if ask.terms.on_disconnect is OnDisconnect.KEEP else ask.deadline)
        else:
            self.engine.admission.check_subscribers(drawing)
        record = JobRecord(plan.job.id, ask, drawing, self.clock.now(), work.forked_from)
        self._enter(record)
        if drawing.task is None:
            self.engine.begin(drawing, record)
        try:
            if lasts:
                await self._store(record, work.beginning)
        except BaseException:
            await self._end(record, JobState.CANCELLED)
            raise
        finally:
            if drawing.gate:
                drawing.gate.set()
        return record

    def _drawing(self, ask: Ask, work: Work, content: bytes) -> Drawing:
        """A new one, that writes down what is to last of it, and waits until the job is stored."""
        plan, caller = work.plan, ask.caller
        if not ask.terms.lasts:
            return self.engine.prepare(plan, content, caller=caller, beginning=work.beginning)
        events = self.log_of(plan.job.id)
        drawing = self.engine.prepare(
            plan,
            content,
            caller=caller,
            events=events,
            checkpointing=self.checkpointing(plan),
            beginning=work.beginning,
        )
        drawing.lasts, drawing.gate = True, asyncio.Event()
        return drawing

    def checkpointing(self, plan: Plan) -> Checkpointing:
        return Checkpointing(self.store, plan.job.id, self.hangs_on(plan))

    def hangs_on(self, plan: Plan) -> str:
        """What the bits of this plan's pictures hang on here."""
        return receipts.hangs_on([self.engine.models[model].info for model in plan.models])

    def log_of(self, drawing: str, lasting: Iterable[Numbered[Any]] = (), last: int = 0) -> EventLog:
        """The log of a drawing whose events are stored: a new one, or one that goes on."""
        return EventLog(
            lambda sequence, event: self.store.put_event(drawing, sequence, event),
            lambda upto: self.store.reserve(drawing, upto),
            lasting,
            last,
        )

    async def _store(self, record: JobRecord, beginning: Beginning) -> None:
        """What cannot be stored is drawn all the same, with a warning, if its caller waits for it."""
        try:
            await self.store.add(record.row(), BLOCK)
            record.stored = True
            if beginning.checkpoint is not None:  # of the job that it was forked from
                plan = record.drawing.plan
                self.store.put_checkpoint(record.drawing.id, beginning.checkpoint, self.hangs_on(plan))
        except StoreFull as error:
            if record.terms.on_disconnect is OnDisconnect.KEEP:
                raise
            log.warning("job %s is not stored: %s", record.id, error)
            record.drawing.runner.warnings += (f"this job is lost if the server stops: {error}",)

    def _enter(self, record: JobRecord) -> None:
        self._live[record.id] = record
        if record.terms.request_id:
            self._by_request[record.terms.request_id] = record.id
        record.drawing.holders.add(record)
        record.drawing.on_end.append(partial(self._drawing_ended, record))

    @asynccontextmanager
    async def _one_at_a_time(self, request_id: str) -> AsyncGenerator[None, None]:
        """Calls with the same id come one after the other: the second one finds the job of the first."""
        if not request_id:
            yield
            return
        lock = self._locks.setdefault(request_id, asyncio.Lock())
        async with lock:
            yield

    # ---- watching ----

    async def attach(
        self,
        job_id: str,
        previews: Previews | None = None,
        deadline: float | None = None,
        after: int = 0,
    ) -> AsyncGenerator[Numbered[Event], None]:
        """The lasting events of a job after a number, the newest of the others, then what happens, Done last.

        When the last one who attached leaves, it goes as the job's terms say. Raises JobNotFound, SequenceAhead, what
        Engine.watch raises, and what the job failed with.
        """
        record = await self.find(job_id)
        events = self._ended_events(record, after) if isinstance(record, JobView) else None
        if events is None:
            assert isinstance(record, JobRecord)
            events = self._live_events(record, previews, deadline, after)
        async with aclosing(events):
            async for numbered in events:
                yield numbered

    async def _live_events(
        self, record: JobRecord, previews: Previews | None, deadline: float | None, after: int
    ) -> AsyncGenerator[Numbered[Event], None]:
        if after > record.drawing.subscribers.events.last:
            raise SequenceAhead(after, record.drawing.subscribers.events.last)
        self._came(record)
        try:
            watching = self.engine.watch(record.drawing, previews, record.ask.priority, deadline, after, record)
            async with aclosing(watching) as events:
                async for numbered in events:
                    yield numbered
        finally:
            await self._left(record)

    async def _ended_events(self, view: JobView, after: int) -> AsyncGenerator[Numbered[Event], None]:
        if after > view.last_sequence:
            raise SequenceAhead(after, view.last_sequence)
        for sequence, event in await self.store.events(view.drawing, after):
            yield Numbered(sequence, event)
        if view.failure is not None:
            raise JobFailed(*view.failure)
        if view.state is JobState.CANCELLED:
            raise JobCancelled(view.id)

    async def lasting(self, job_id: str) -> Sequence[Numbered[Any]]:
        """The lasting events of a job so far. Who asks for them does not count as watching. Raises JobNotFound."""
        found = await self.find(job_id)
        if isinstance(found, JobRecord):
            return tuple(found.drawing.subscribers.events.lasting)
        return [Numbered(sequence, event) for sequence, event in await self.store.events(found.drawing, 0)]

    def expect(self, job_id: str) -> None:
        """Nobody watches the job yet; somebody will."""
        record = self._live.get(job_id)
        if record is not None and not record.watchers:
            self._wait(record, AT_FIRST if record.terms.on_disconnect is OnDisconnect.CANCEL else record.terms.grace)

    def _came(self, record: JobRecord) -> None:
        record.watchers += 1
        if record.leaving is not None:
            record.leaving.cancel()
            record.leaving = None

    async def _left(self, record: JobRecord) -> None:
        record.watchers -= 1
        if record.watchers or record.state is not None or record.drawing.state.final:
            return
        if record.terms.on_disconnect is OnDisconnect.CANCEL:
            await self._end(record, JobState.CANCELLED)
        else:
            self._wait(record, record.terms.grace)

    def _wait(self, record: JobRecord, seconds: float) -> None:
        """Ends the job after so many seconds, if nobody comes, and if it is to end with its callers."""
        if record.terms.on_disconnect is OnDisconnect.KEEP:
            return

        def over() -> None:
            log.info("job %s is cancelled: nobody came back in %g s", record.id, seconds)
            self._later(self._end(record, JobState.CANCELLED))

        if record.leaving is not None:
            record.leaving.cancel()
        record.leaving = asyncio.get_running_loop().call_later(seconds, over)

    # ---- telling and changing ----

    async def find(self, job_id: str) -> JobRecord | JobView:
        """A job that is not over, or how one ended. Raises JobNotFound."""
        if record := self._live.get(job_id):
            return record
        row = await self.store.get(job_id)
        if row is not None and row.state in UNFINISHED and not self.engine.draining:
            await self._resume(row.drawing)
            row = await self.store.get(job_id)
        if record := self._live.get(job_id):
            return record
        if row is None:
            raise JobNotFound(job_id)
        return from_row(row)

    # ---- going on ----

    async def resume(self) -> None:
        """Takes up the jobs that a server before this one has left, and that are to go on whether anybody waits or not.

        The others wait a minute for their callers to come back, and are cancelled then.
        """
        self.clock = WallClock(await self.store.latest())
        rows = await self.store.unfinished()
        waiting = [row for row in rows if row.record["terms"]["on_disconnect"] == OnDisconnect.CANCEL.value]
        for drawing in dict.fromkeys(row.drawing for row in rows if row not in waiting):
            await self._resume(drawing)
        self._later(self._drop_unless_asked_for([row.id for row in waiting]))

    async def _resume(self, drawing_id: str) -> None:
        async with self._one_at_a_time(f"drawing {drawing_id}"):
            rows = [row for row in await self.store.of_drawing(drawing_id) if row.id not in self._live]
            rows = [row for row in rows if row.state in UNFINISHED]
            if not rows or self.plan_again is None:
                return
            try:
                plan = await self.plan_again(rows[0].request, drawing_id)
            except JobError as error:
                resuming.give_up(self.store, rows, error, self.clock.now())
                return
            left = await resuming.left_of(self.store, drawing_id, self.hangs_on(plan))
            if left.is_done:
                for row in rows:
                    now = self.clock.now()
                    self.store.move(row.id, left.state, row.record, now, now + resuming.retain_of(row))
                return
            await self._go_on(plan, left, rows)

    async def _go_on(self, plan: Plan, left: Left, rows: Sequence[StoredJob]) -> None:
        content = await content_of(plan.job) + bytes([True])
        drawing = self.engine.prepare(
            plan,
            content,
            events=self.log_of(plan.job.id, left.lasting, left.last),
            checkpointing=self.checkpointing(plan),
            beginning=left.beginning,
        )
        drawing.lasts = True
        for row in rows:
            ask = Ask(terms_of(row.record["terms"]), row.digest, priority=plan.job.priority)
            record = JobRecord(row.id, ask, drawing, row.created, row.record["forked_from"], stored=True)
            self._enter(record)
            self._wait(record, AT_FIRST if ask.terms.on_disconnect is OnDisconnect.CANCEL else ask.terms.grace)
        self.engine.begin(drawing, record)
        resuming.log_resumed(drawing, left)

    async def _drop_unless_asked_for(self, job_ids: Sequence[str]) -> None:
        await asyncio.sleep(AT_FIRST)
        for job_id in job_ids:
            row, now = await self.store.get(job_id), self.clock.now()
            if row is not None and row.state in UNFINISHED and job_id not in self._live:
                self.store.move(job_id, JobState.CANCELLED, row.record, now, now + resuming.retain_of(row))

    async def keep_clean(self) -> None:
        """Removes what is over its time, until it is cancelled."""
        while True:
            await self.store.expire(self.clock.now())
            await asyncio.sleep(EXPIRY)

    async def view(self, job_id: str) -> JobView:
        """How a job stands, with the steps that are kept. Raises JobNotFound."""
        found = await self.find(job_id)
        view = found if isinstance(found, JobView) else found.view()
        kept: dict[int, list[int]] = {}
        for image, step in await self.store.kept_steps(view.drawing):
            kept.setdefault(image, []).append(step)
        return replace(view, checkpoints=kept)

    async def kept(self, job_id: str, image: int, step: int | None) -> tuple[bytes, Checkpoint]:
        """The stored request of a job, and the checkpoint after `step` of one of its images; None: the last one.

        Raises JobNotFound, or CheckpointGone with the nearest step that is kept.
        """
        await self.find(job_id)
        row = await self.store.get(job_id)
        steps = (
            [] if row is None else [done for index, done in await self.store.kept_steps(row.drawing) if index == image]
        )
        wanted = steps[-1] if step is None and steps else step
        found = await self.store.checkpoint(row.drawing, image, wanted) if row and wanted in steps else None
        if row is None or found is None or wanted is None:
            nearest = min(steps, key=lambda kept: abs(kept - (step or 0)), default=None)
            raise CheckpointGone(job_id, step, nearest)
        return row.request, found[0]

    async def page(
        self, count: int, before: tuple[float, str] | None = None, state: JobState | None = None, model: str = ""
    ) -> list[JobView]:
        """The newest first, from just before (created, id)."""
        goes_on = state in UNFINISHED  # then the store does not know more
        live = [record.view() for record in self._live.values() if goes_on or not record.stored]
        unstored = [
            view
            for view in live
            if (before is None or (view.created, view.id) < before)
            and (state is None or view.state is state)
            and (not model or view.model == model)
        ]
        rows = [] if goes_on else await self.store.page(count, before, state, model)
        stored = [self._live[row.id].view() if row.id in self._live else from_row(row) for row in rows]
        return sorted([*unstored, *stored], key=lambda view: (view.created, view.id), reverse=True)[:count]

    async def cancel(self, job_id: str) -> JobView:
        """Stops a job; one that is over stays as it is. Raises JobNotFound."""
        found = await self.find(job_id)
        if isinstance(found, JobRecord):
            await self._end(found, JobState.CANCELLED)
        return await self._last_view(found)

    async def finish(self, job_id: str) -> JobView:
        """Ends a job with what is there after the running step. Raises JobNotFound or NotStarted."""
        found = await self.find(job_id)
        if isinstance(found, JobRecord):
            found.drawing.runner.finish()
            self.engine.drawings.stop_sharing(found.drawing)
        return await self._last_view(found)

    async def delete(self, job_id: str) -> None:
        """Stops a job, and removes all that is stored of it. Raises JobNotFound."""
        found = await self.find(job_id)
        if isinstance(found, JobRecord):
            await self._end(found, JobState.CANCELLED)
        await self.store.delete(job_id)

    async def _last_view(self, found: JobRecord | JobView) -> JobView:
        return found.view() if isinstance(found, JobRecord) else found

    # ---- ending ----

    async def _end(self, record: JobRecord, state: JobState) -> None:
        """Ends a job, whatever becomes of others that share its drawing."""
        if record.state is None and not record.drawing.state.final:
            record.state = state
            record.drawing.subscribers.dismiss(record, JobCancelled(record.id))
            self._over(record, None)
        await self.engine.release(record.drawing, record)

    def _drawing_ended(self, record: JobRecord, error: Exception | None) -> None:
        if record.state is not None:
            return
        record.state = record.drawing.state
        if record.stored and isinstance(error, ShuttingDown):
            self._live.pop(record.id, None)  # it goes on when the server is there again
            return
        self._over(record, error)

    def _over(self, record: JobRecord, error: Exception | None) -> None:
        self._live.pop(record.id, None)
        if self._by_request.get(record.terms.request_id) == record.id:
            del self._by_request[record.terms.request_id]
        if record.leaving is not None:
            record.leaving.cancel()
        if not record.stored:
            return
        if not record.terms.retain:
            self._later(self.store.delete(record.id))
            return
        view, now = record.view(), self.clock.now()
        self.store.move(record.id, view.state, to_json(view, error), now, now + record.terms.retain)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
