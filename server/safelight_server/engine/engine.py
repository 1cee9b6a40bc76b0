"""Admits drawings and draws them: a plan in, events out. A drawing is stopped when no job holds it any more."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress

from safelight_server.diffusion.model_info import ModelInfo
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.diffusion.plan import Plan
from safelight_server.errors import DeviceStuck, MemoryShort, ModelRecovering, ShuttingDown
from safelight_server.events import Event, Preview, Queued
from safelight_server.images import files
from safelight_server.jobs import Job, JobState, Previews, Priority
from safelight_server.models.always import Always, Models
from safelight_server.observer import SILENT, Observer

from . import memory
from .admission import Admission
from .checkpointing import Checkpointing
from .clock import Clock
from .drawings import Drawing, Drawings, digest
from .event_log import EventLog, Numbered
from .job_runner import AT_THE_START, Beginning, JobRunner
from .mailbox import Frame
from .slots import Slots
from .subscribers import Subscribers


class Engine:
    """The models, and a bounded queue before them. `slots` drawings go on at a time, taking turns at every step.

    One is refused when `slots` + `queue` are there, `share` of its caller, or `max_wait` seconds of work. `on_health`
    is called whenever `ready` may have changed.
    """

    def __init__(
        self,
        models: Mapping[str, Pipeline] | Models,
        *,
        slots: int,
        queue: int,
        max_wait: float = math.inf,
        share: float = math.inf,
        on_health: Callable[[], None] = lambda: None,
        observer: Observer = SILENT,
    ) -> None:
        self.library: Models = Always(models) if isinstance(models, Mapping) else models
        self.library.in_use = self._in_use
        self.models = self.library.models  # those that are loaded
        self.drawings = Drawings(observer)
        self._slots = Slots(slots, observer)
        self.admission = Admission(self.drawings, slots + queue, max_wait, share)
        self._draining = False
        self._on_health = on_health
        self.observer = observer
        for lane in {id(model.lane): model.lane for model in self.models.values()}.values():
            lane.on_health(on_health)

    @property
    def ready(self) -> bool:
        """Whether it draws at once. A model that is loaded later, while others draw, changes nothing."""
        free = not self._draining and not self.library.is_loading
        return free and all(model.ready for model in self.models.values())

    @property
    def infos(self) -> Mapping[str, ModelInfo]:
        """Of all models that can be asked for; the first is the default."""
        return self.library.infos

    @property
    def draining(self) -> bool:
        return self._draining

    def health(self) -> dict[str, bool]:
        """Whether each model takes jobs."""
        return {name: well and not self._draining for name, well in self.library.health.items()}

    def prepare(
        self,
        plan: Plan,
        content: bytes,
        *,
        caller: object = None,
        events: EventLog | None = None,
        checkpointing: Checkpointing | None = None,
        beginning: Beginning = AT_THE_START,
    ) -> Drawing:
        """A drawing that is not let in yet. `content` is its `digest`; callers get equal shares of the engine."""
        subscribers = Subscribers(plan.job.priority, self.observer, events)
        runner = JobRunner(plan, self.models, subscribers, caller, beginning, checkpointing)
        return Drawing(plan, content, subscribers, runner, caller)

    def admit(self, drawing: Drawing, deadline: float | None = None) -> None:
        """Whether a drawing is let in now. `deadline` is when the caller will leave, a time.monotonic().

        Raises QueueFull, DeadlineTooShort, ShuttingDown, MemoryShort, ModelRecovering or DeviceStuck.
        """
        self.check_room(drawing.caller)
        self._check_models(drawing.plan.models)
        memory.check(self.models, drawing.plan)
        drawing.foreseen = self.admission.check_time(drawing.runner, deadline)

    async def wait_for_memory(self, plan: Plan, short: MemoryShort) -> None:
        """Until there may be more: of models that nobody draws with, which go, or of jobs that are over.

        Raises `short` where that would not be enough, or nothing is left to wait for.
        """
        running = [drawing.plan for drawing in self.drawings.all() if drawing.state is JobState.RUNNING]
        later = self.library.could_give(plan.models) + memory.taken_by(self.models, running)
        if short.needed > short.free + later or not await self.library.give(plan.models):
            raise short

    def begin(self, drawing: Drawing, holder: object) -> None:
        """Begins what was let in, for a job that holds it."""
        self._make_room(drawing.caller)
        drawing.holders.add(holder)
        drawing.task = asyncio.create_task(self._draw(drawing), name=drawing.id)
        # A task that is cancelled before its first step runs none of its code, not even a `finally`.
        drawing.task.add_done_callback(lambda task: self._end(drawing, JobState.CANCELLED, ShuttingDown()))
        self.drawings.add(drawing)

    async def watch(
        self,
        drawing: Drawing,
        previews: Previews | None = None,
        priority: Priority = Priority.NORMAL,
        deadline: float | None = None,
        after: int = 0,
        holder: object = None,
    ) -> AsyncGenerator[Numbered[Event], None]:
        """The events of a drawing after a number, and as they happen, Done last. Closing the generator stops nothing.

        `holder` is the job for which it is watched. Raises QueueFull where too many watch it, and what it failed with.
        """
        self.admission.check_subscribers(drawing, previews=previews is not None and previews.every > 0)
        subscriber = drawing.subscribers.join(previews, priority, deadline, after, holder)
        try:
            async with aclosing(subscriber.mailbox.read()) as items:
                async for sequence, item in items:
                    event = await self._paint(item, drawing, previews) if isinstance(item, Frame) else item
                    if event is not None:
                        yield Numbered(sequence, event)
        finally:
            # A client that left shows up as one of several exceptions, not all of them documented: so, whatever it was.
            drawing.subscribers.leave(subscriber)

    async def release(self, drawing: Drawing, holder: object) -> None:
        """A job does not want it any more; the work stops inside its step if no other one does."""
        drawing.holders.discard(holder)
        if not drawing.holders and drawing.task is not None:
            began, over = time.monotonic(), drawing.task.done()
            self.drawings.remove(drawing)
            drawing.task.cancel()
            with suppress(asyncio.CancelledError):
                await drawing.task
            self.library.freed(drawing.plan.models)
            if not over:
                self.observer.job_stopped(time.monotonic() - began)

    async def drain(self, grace: float) -> None:
        """Refuses new jobs, gives those that run `grace` seconds, and stops the rest: what is kept of it is written."""
        self._draining = True
        self._on_health()
        running = {drawing.task for drawing in self.drawings.all() if drawing.task is not None}
        if running:
            _, late = await asyncio.wait(running, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def check_room(self, caller: object = None) -> None:
        """Raises ShuttingDown, ShareUsed or QueueFull if no job would be let in: before a picture is unpacked."""
        if self._draining:
            raise ShuttingDown
        self.admission.check_room(caller)

    def _in_use(self, model: str) -> bool:
        return any(model in drawing.plan.models for drawing in self.drawings.all())

    def _make_room(self, caller: object) -> None:
        """A queued drawing of a caller that has more than its share gives way, and is told to come back."""
        if self.admission.is_full and (displaced := self.admission.displaced_by(caller)):
            self._end(displaced, JobState.FAILED, self.admission.full())
            if displaced.task is not None:
                displaced.task.cancel()

    def _check_models(self, names: Sequence[str]) -> None:
        for name in names:
            model = self.models[name]
            if model.lane.stuck:
                raise DeviceStuck(model.lane.device)
            if not model.ready:
                raise ModelRecovering(name)

    async def _draw(self, drawing: Drawing) -> None:
        """The drawing's task: tells the subscribers everything, and its end whatever happens."""
        subscribers, clock = drawing.subscribers, Clock(drawing.id, self.observer)
        try:
            if drawing.gate is not None:
                await drawing.gate.wait()
            async with self._slots.take(drawing.runner.ticket, lambda position: subscribers.put(Queued(position))):
                self.drawings.move(drawing, JobState.RUNNING)
                state = await drawing.runner.run(clock)
        except asyncio.CancelledError:
            if self._draining:
                drawing.runner.keep()
            self._end(drawing, JobState.CANCELLED, ShuttingDown())  # after any other cancellation nobody reads it
            raise
        except Exception as error:
            self._end(drawing, JobState.FAILED, error)
        else:
            self._end(drawing, state)

    def _end(self, drawing: Drawing, state: JobState, error: Exception | None = None) -> None:
        """Once: what comes after the first final state is left out."""
        if not drawing.state.final:
            self.drawings.move(drawing, state)
            self.admission.note_end(drawing)
            self.drawings.remove(drawing)
            self.library.freed(drawing.plan.models)
            for told in drawing.on_end:
                told(error)
            drawing.subscribers.close(error)

    async def _paint(self, frame: Frame, drawing: Drawing, previews: Previews | None) -> Preview | None:
        """None: the job was over before this was read, and its model is not there any more."""
        model, wanted, job = self.models.get(frame.model), previews or Previews(), drawing.plan.job
        if model is None:
            return None
        ticket = frame.ticket or drawing.runner.ticket.beside(awaited=False)
        picture = await model.preview(frame.denoised, wanted.tiny, ticket, wanted.max_edge)
        data, size = await asyncio.to_thread(files.thumbnail, picture, job.size, wanted.max_edge, wanted.quality)
        return Preview(frame.index, frame.step, frame.steps, data, size, frame.skipped)


async def content_of(job: Job) -> bytes:
    """The job's `digest`: in a thread, but only where a picture is in it; a thread's turn may be long in coming."""
    return await asyncio.to_thread(digest, job) if job.source else digest(job)
