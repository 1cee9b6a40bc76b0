"""Admits jobs and draws them: a plan in, events out. A job is stopped when nobody reads its events any more."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress

from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.diffusion.plan import Plan
from safelight_server.errors import DeviceStuck, ModelRecovering, ShuttingDown
from safelight_server.images import files
from safelight_server.jobs import Event, Job, JobState, Preview, Previews, Queued
from safelight_server.observer import SILENT, Observer

from .admission import Admission
from .job_runner import Clock, JobRunner
from .job_table import JobRecord, JobTable, digest
from .mailbox import Frame
from .slots import Slots
from .subscribers import Subscribers


class Engine:
    """The models, and a bounded queue before them. `slots` jobs are drawn at a time, taking turns at every step.

    A job is refused when `slots` + `queue` jobs are there, or `max_wait` seconds of work. `on_health` is called
    whenever `ready` may have changed.
    """

    def __init__(
        self,
        models: Mapping[str, Pipeline],
        *,
        slots: int,
        queue: int,
        max_wait: float = math.inf,
        on_health: Callable[[], None] = lambda: None,
        observer: Observer = SILENT,
    ) -> None:
        self.models = models
        self.jobs = JobTable(observer)
        self._slots = Slots(slots, observer)
        self._admission = Admission(self.jobs, slots + queue, max_wait)
        self._draining = False
        self._on_health = on_health
        self._observer = observer
        for lane in {id(model.lane): model.lane for model in models.values()}.values():
            lane.on_health(on_health)

    @property
    def ready(self) -> bool:
        return all(self.health().values())

    def health(self) -> dict[str, bool]:
        """Whether each model takes jobs."""
        return {name: model.ready and not self._draining for name, model in self.models.items()}

    async def run(
        self, plan: Plan, previews: Previews | None = None, deadline: float | None = None, caller: object = None
    ) -> AsyncGenerator[Event, None]:
        """Draws a job; its events as they happen, Done last. A job that draws just the same is shared, if there is one.

        Closing the generator stops the work inside its step, if nobody else waits for it. `deadline` is when the caller
        will close it, a time.monotonic(). Callers get equal shares of the lanes, the slots and the queue.
        Raises QueueFull, DeadlineTooShort, ShuttingDown, ModelRecovering or DeviceStuck before the first event, and
        InferenceFailed later.
        """
        # Without a picture it is quick, and under load a thread's turn comes later than that takes.
        content = await asyncio.to_thread(digest, plan.job) if plan.job.source else digest(plan.job)
        if record := self.jobs.sharing(content):
            self._admission.check_subscribers(record)
        else:
            record = self._start(plan, content, deadline, caller)
        subscriber = record.subscribers.join(previews, plan.job.priority, deadline)
        try:
            async with aclosing(subscriber.mailbox.read()) as items:
                async for item in items:
                    yield await self._paint(item, plan.job, previews) if isinstance(item, Frame) else item
        finally:
            # A client that left shows up as one of several exceptions, not all of them documented: so, whatever it was.
            record.subscribers.leave(subscriber)
            if not record.subscribers:
                await self._cancel(record)

    async def drain(self, grace: float) -> None:
        """Refuses new jobs, gives those that run `grace` seconds, and stops the rest."""
        self._draining = True
        self._on_health()
        running = {record.task for record in self.jobs.all() if record.task is not None}
        if running:
            _, late = await asyncio.wait(running, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def check_room(self, caller: object = None) -> None:
        """Raises ShuttingDown or QueueFull if no job at all would be let in: asked before a picture is unpacked."""
        if self._draining:
            raise ShuttingDown
        self._admission.check_room(caller)

    def _start(self, plan: Plan, content: bytes, deadline: float | None, caller: object) -> JobRecord:
        self.check_room(caller)
        self._check_models(plan.models)
        subscribers = Subscribers(plan.job.priority, self._observer)
        runner = JobRunner(plan, self.models, subscribers, caller)
        foreseen = self._admission.check_time(runner, deadline)
        self._make_room(caller)
        record = JobRecord(plan, content, subscribers, runner, caller, foreseen)
        record.task = asyncio.create_task(self._draw(record), name=record.id)
        # A task that is cancelled before its first step runs none of its code, not even a `finally`.
        record.task.add_done_callback(lambda task: self._end(record, JobState.CANCELLED, ShuttingDown()))
        self.jobs.add(record)
        return record

    def _make_room(self, caller: object) -> None:
        """A queued job of a caller that has more than its share gives way, and is told to come back."""
        if self._admission.is_full and (displaced := self._admission.displaced_by(caller)):
            self._end(displaced, JobState.FAILED, self._admission.full())
            if displaced.task is not None:
                displaced.task.cancel()

    def _check_models(self, names: Sequence[str]) -> None:
        for name in names:
            model = self.models[name]
            if model.lane.stuck:
                raise DeviceStuck(model.lane.device)
            if not model.ready:
                raise ModelRecovering(name)

    async def _cancel(self, record: JobRecord) -> None:
        self.jobs.remove(record)
        assert record.task is not None
        record.task.cancel()
        with suppress(asyncio.CancelledError):
            await record.task

    async def _draw(self, record: JobRecord) -> None:
        """The job's task: tells the subscribers everything, and its end whatever happens."""
        subscribers, clock = record.subscribers, Clock()
        try:
            async with self._slots.take(record.runner.ticket, lambda position: subscribers.put(Queued(position))):
                clock.lap("queued")
                self.jobs.move(record, JobState.RUNNING)
                await record.runner.run(clock)
        except asyncio.CancelledError:
            self._end(record, JobState.CANCELLED, ShuttingDown())  # after any other cancellation nobody reads it
            raise
        except Exception as error:
            self._end(record, JobState.FAILED, error)
        else:
            self._end(record, JobState.SUCCEEDED)

    def _end(self, record: JobRecord, state: JobState, error: Exception | None = None) -> None:
        """Once: what comes after the first final state is left out."""
        if not record.state.final:
            self.jobs.move(record, state)
            self._admission.note_end(record)
            self.jobs.remove(record)
            record.subscribers.close(error)

    async def _paint(self, frame: Frame, job: Job, previews: Previews | None) -> Preview:
        model, wanted = self.models[frame.model], previews or Previews()
        picture = await model.preview(frame.denoised, wanted.tiny, frame.ticket, wanted.max_edge)
        data, size = await asyncio.to_thread(files.thumbnail, picture, job.size, wanted.max_edge, wanted.quality)
        return Preview(frame.index, frame.step, frame.steps, data, size, frame.skipped)
