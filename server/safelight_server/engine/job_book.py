"""The jobs by their ids: each is taken once, told to any number of calls, and ended once, whoever asks for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from safelight_server.callers import calling, tracing
from safelight_server.diffusion.plan import Plan
from safelight_server.errors import (
    FinishShared,
    JobCancelled,
    JobError,
    JobNotFound,
    MemoryShort,
    RequestIdReused,
    ShuttingDown,
    StoreFull,
)
from safelight_server.job_store.store import Store
from safelight_server.jobs import JobState, OnDisconnect

from . import receipts
from .checkpointing import Checkpointing
from .drawings import Drawing
from .engine import Engine, content_of
from .event_log import BLOCK, EventLog, Numbered
from .job_record import Ask, JobRecord, JobView, WallClock, failure_of, from_row, to_json
from .job_runner import AT_THE_START, Beginning

log = logging.getLogger(__name__)

EXPIRY = 30.0  # seconds between two looks for jobs that are over their time


class Work(NamedTuple):
    """A plan, and where it begins."""

    plan: Plan
    beginning: Beginning = AT_THE_START
    forked_from: str = ""


class JobBook:
    """All jobs of an engine: those that are not over in memory, and in the store those that may be asked for again.

    A job belongs to the caller who made it: for all others but an admin, there is none with its id.
    `wake` takes up a job of the store that a server before this one has left.
    """

    def __init__(self, engine: Engine, store: Store) -> None:
        self.engine, self.store = engine, store
        self.clock = WallClock()
        self.live: dict[str, JobRecord] = {}
        self.wake: Callable[[str], Awaitable[None]] | None = None
        self._by_request: dict[tuple[str, str], str] = {}  # by owner and request id, the ids of jobs that are not over
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()

    # ---- taking ----

    async def take(self, ask: Ask, work: Callable[[], Awaitable[Work]]) -> str:
        """The id of the job for what is asked: the one that has this request id, or a new one, whose plan `work` makes.

        Raises RequestIdReused, StoreFull, what Engine.admit raises, and what `work` does.
        """
        request_id = ask.terms.request_id
        async with self.one_at_a_time(f"request {calling.get().name} {request_id}" if request_id else ""):
            return await self._known(ask) or await self._new(ask, await work())

    async def _known(self, ask: Ask) -> str | None:
        request_id = ask.terms.request_id
        if not request_id:
            return None
        owner = calling.get().name
        live = self.live.get(self._by_request.get((owner, request_id), ""))
        found = (live.id, live.ask.digest) if live else None
        if found is None and (row := await self.store.by_request(owner, request_id)):
            found = row.id, row.digest
        if found is not None and found[1] != ask.digest:
            raise RequestIdReused(request_id, found[0])
        return found[0] if found else None

    async def _new(self, ask: Ask, work: Work) -> str:
        plan = work.plan
        deadline = None if ask.terms.on_disconnect is OnDisconnect.KEEP else ask.deadline
        wait = ask.terms.wait_for_model
        while True:
            try:
                async with self.engine.library.held(plan.models, wait=wait, deadline=deadline):
                    return await self._begin(ask, work, deadline)
            except MemoryShort as short:
                if not wait:
                    raise
                await self.engine.wait_for_memory(plan, short)  # holding nothing: no two wait for each other

    async def _begin(self, ask: Ask, work: Work, deadline: float | None) -> str:
        """Its models are held; once it has begun, its drawing keeps them."""
        plan, lasts = work.plan, ask.terms.lasts
        # What lasts has a drawing of its own: it goes on, or is finished early, whatever becomes of others.
        content = await content_of(plan.job) + (plan.job.id.encode() if lasts else b"")
        drawing = self.engine.drawings.sharing(content)
        if drawing is None:
            drawing = self.drawing(plan, content, ask, work.beginning, self.log_of(plan.job.id) if lasts else None)
            drawing.gate = asyncio.Event() if lasts else None
            self.engine.admit(drawing, deadline)
        else:
            self.engine.admission.check_subscribers(drawing)
        owner, trace = calling.get().name, tracing.get()
        record = JobRecord(plan.job.id, ask, drawing, self.clock.now(), owner, work.forked_from, trace)
        self.enter(record)
        if drawing.task is None:
            self.engine.begin(drawing, record)
        if drawing.gate is not None:
            await self._store(record, work.beginning, drawing.gate)
        return record.id

    def drawing(self, plan: Plan, content: bytes, ask: Ask, beginning: Beginning, events: EventLog | None) -> Drawing:
        """A new one, that writes down where it stands if its job lasts."""
        checkpointing = (
            Checkpointing(self.store, plan.job.id, self.hangs_on(plan), self.engine.observer)
            if ask.terms.lasts
            else None
        )
        drawing = self.engine.prepare(
            plan, content, caller=ask.caller, events=events, checkpointing=checkpointing, beginning=beginning
        )
        drawing.lasts = ask.terms.lasts
        return drawing

    def hangs_on(self, plan: Plan) -> str:
        """What the bits of this plan's pictures hang on here."""
        return receipts.hangs_on([self.engine.infos[model] for model in plan.models])

    def log_of(self, job_id: str, lasting: Iterable[Numbered[Any]] = (), last: int = 0) -> EventLog:
        """The log of a job whose events are stored: a new one, or one that goes on."""
        return EventLog(
            lambda sequence, event: self.store.put_event(job_id, sequence, event),
            lambda upto: self.store.reserve(job_id, upto),
            lasting,
            last,
        )

    async def _store(self, record: JobRecord, beginning: Beginning, gate: asyncio.Event) -> None:
        """Stores a job before its drawing begins. What cannot be stored is drawn all the same, if its caller waits."""
        try:
            await self.store.add(record.row(BLOCK), partial(record.ask.pack, record.drawing.plan.job))
            record.stored = True
            if beginning.checkpoint is not None:  # of the job that it was forked from
                self.store.put_checkpoint(record.id, beginning.checkpoint, self.hangs_on(record.drawing.plan))
        except StoreFull as error:
            if record.terms.on_disconnect is OnDisconnect.KEEP:
                await self.end(record)
                raise
            log.warning("job %s is not stored: %s", record.id, error)
            record.drawing.runner.warnings += (f"this job is lost if the server stops: {error}",)
        except BaseException:  # its caller has left, and knows of no job: nor does anybody else
            await self.end(record)
            self.later(self.store.delete(record.id))
            raise
        finally:
            gate.set()

    def enter(self, record: JobRecord, *, resumed: bool = False) -> None:
        self.live[record.id] = record
        if record.terms.request_id:
            self._by_request[record.owner, record.terms.request_id] = record.id
        record.drawing.holders.add(record)
        record.drawing.on_end.append(partial(self._drawing_ended, record))
        self.engine.observer.job_began(record.outline(resumed=resumed))

    @asynccontextmanager
    async def one_at_a_time(self, name: str) -> AsyncGenerator[None, None]:
        """What has the same name comes one after the other; what has none does not wait."""
        if not name:
            yield
            return
        lock = self._locks.setdefault(name, asyncio.Lock())
        async with lock:
            yield

    # ---- finding and changing ----

    async def find(self, job_id: str) -> JobRecord | JobView:
        """A job that is not over, or how one ended. Raises JobNotFound, also for one that is another caller's."""
        found = await self._find(job_id)
        if not calling.get().sees(found.owner):
            raise JobNotFound(job_id)
        return found

    async def _find(self, job_id: str) -> JobRecord | JobView:
        if record := self.live.get(job_id):
            return record
        row = await self.store.get(job_id)
        if row is not None and not row.state.final and self.wake and not self.engine.draining:
            await self.wake(job_id)
            row = await self.store.get(job_id)
        if record := self.live.get(job_id):
            return record
        if row is None:
            raise JobNotFound(job_id)
        return from_row(row)

    async def cancel(self, job_id: str) -> JobView:
        """Stops a job; one that is over stays as it is. Raises JobNotFound."""
        found = await self.find(job_id)
        if isinstance(found, JobView):
            return found
        await self.end(found)
        return found.view()

    async def finish(self, job_id: str) -> JobView:
        """Ends a job with what is there after the running step. Raises JobNotFound, NotStarted or FinishShared."""
        found = await self.find(job_id)
        if isinstance(found, JobView):
            return found
        if len(found.drawing.holders) > 1:
            raise FinishShared(job_id)
        found.drawing.runner.finish()
        self.engine.drawings.stop_sharing(found.drawing)
        return found.view()

    async def delete(self, job_id: str) -> None:
        """Stops a job, and removes all that is stored of it. Raises JobNotFound."""
        found = await self.find(job_id)
        if isinstance(found, JobRecord):
            await self.end(found)
        await self.store.delete(job_id)

    # ---- ending ----

    async def end(self, record: JobRecord) -> None:
        """Ends a job that nobody wants any more, whatever becomes of others that share its drawing."""
        error = None
        if record.state is None and not record.drawing.state.final:
            record.state, error = JobState.CANCELLED, JobCancelled(record.id)
            record.drawing.subscribers.dismiss(record, error)
            self._over(record, None)
        try:
            await self.engine.release(record.drawing, record)
        finally:
            if error is not None:  # its work has ended, if it was its own
                self._tell_end(record, error)

    def end_later(self, record: JobRecord) -> None:
        self.later(self.end(record))

    def _drawing_ended(self, record: JobRecord, error: Exception | None) -> None:
        if record.state is not None:
            return
        record.state = record.drawing.state
        self._tell_end(record, error)
        if record.stored and isinstance(error, ShuttingDown):
            self.live.pop(record.id, None)  # it goes on when the server is there again
        else:
            self._over(record, error)

    def _over(self, record: JobRecord, error: Exception | None) -> None:
        self.live.pop(record.id, None)
        asked = record.owner, record.terms.request_id
        if self._by_request.get(asked) == record.id:
            del self._by_request[asked]
        record.stay()
        if record.stored and record.terms.retain:
            view, now = record.view(), self.clock.now()
            self.store.move(record.id, view.state, to_json(view, error), now, now + record.terms.retain)
        elif record.stored:
            self.later(self.store.delete(record.id))

    def _tell_end(self, record: JobRecord, error: Exception | None) -> None:
        state, failure = record.state or record.drawing.state, failure_of(error)
        self.engine.observer.job_ended(record.id, state, failure.reason if failure else "")

    async def keep_clean(self) -> None:
        """Removes what is over its time, until it is cancelled."""
        while True:
            try:
                await self.store.expire(self.clock.now())
            except JobError as error:
                log.warning("nothing can be removed from the job store: %s", error)
            await asyncio.sleep(EXPIRY)

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Does something that nobody waits for."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
