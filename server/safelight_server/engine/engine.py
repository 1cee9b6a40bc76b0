"""Admits jobs and draws them: a job in, events out. Whoever stops reading stops the drawing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass

from safelight_server import image_files
from safelight_server.diffusion import plan
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.diffusion.plan import Segment
from safelight_server.errors import ModelRecovering, QueueFull, ShuttingDown
from safelight_server.jobs import Event, Job, Preview, Previews, Queued
from safelight_server.lanes.ticket import Ticket

from .job_runner import Clock, JobRunner
from .mailbox import Frame
from .slots import Slots
from .subscribers import Subscribers, content

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """A job that is being drawn, and who watches."""

    subscribers: Subscribers
    task: asyncio.Task[None]


class Engine:
    """The models, and a bounded queue before them. `slots` jobs are drawn at a time, taking turns at every step.

    `on_health` is called whenever `ready` may have changed.
    """

    def __init__(
        self, models: Mapping[str, Pipeline], *, slots: int, queue: int, on_health: Callable[[], None] = lambda: None
    ) -> None:
        self.models = models
        self._config = {name: model.config for name, model in models.items()}
        self._slots = Slots(slots)
        self._room = slots + queue
        self._runs: dict[bytes, Run] = {}  # by the job's content
        self._healing: dict[str, asyncio.Task[None]] = {}
        self._draining = False
        self._job_seconds = 1.0  # between one finished job and the next, lately
        self._on_health = on_health

    @property
    def ready(self) -> bool:
        return all(self.health().values())

    def health(self) -> dict[str, bool]:
        """Whether each model takes jobs."""
        return {name: model.ready and not self._draining for name, model in self.models.items()}

    async def run(
        self, job: Job, previews: Previews | None = None, deadline: float | None = None
    ) -> AsyncGenerator[Event, None]:
        """Draws `job`; events as they happen, Done last. A job that is drawn already, with the same seeds, is shared.

        Closing the generator stops the work inside its step, if nobody else waits for it. `deadline` is when the caller
        will close it, a time.monotonic().
        Raises InvalidRequest, QueueFull, ShuttingDown or ModelRecovering before the first event, InferenceFailed later.
        """
        key = await asyncio.to_thread(content, job)  # of megabytes, where there is a picture
        run = self._runs.get(key)
        if run is None or run.subscribers.closed:
            run = self._begun(key, job)
        reader = run.subscribers.join(previews, job.priority, deadline)
        try:
            async with aclosing(reader.mailbox.read()) as items:
                async for item in items:
                    yield await self._painted(item, job, previews) if isinstance(item, Frame) else item
        finally:
            # A client that left shows up as one of several exceptions, not all of them documented: so, whatever it was.
            if run.subscribers.leave(reader):
                self._forget(key, run)
                run.task.cancel()
                with suppress(asyncio.CancelledError):
                    await run.task

    def _begun(self, key: bytes, job: Job) -> Run:
        segments = plan.segments(job, self._config)
        self._admit(segments)
        ticket = Ticket(job.priority)
        subscribers = Subscribers(ticket)
        task = asyncio.create_task(self._draw(job, segments, subscribers, ticket), name=job.id)
        self._runs[key] = run = Run(subscribers, task)
        task.add_done_callback(lambda task: self._forget(key, run))
        return run

    def _forget(self, key: bytes, run: Run) -> None:
        if self._runs.get(key) is run:
            del self._runs[key]

    async def drain(self, grace: float) -> None:
        """Refuses new jobs, gives those that run `grace` seconds, and stops the rest."""
        self._draining = True
        self._on_health()
        running = {run.task for run in self._runs.values()}
        if running:
            _, late = await asyncio.wait(running, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def knock(self) -> None:
        """Raises ShuttingDown or QueueFull if no job at all would be let in: asked before a picture is unpacked."""
        if self._draining:
            raise ShuttingDown
        if len(self._runs) >= self._room:
            raise QueueFull(self._slots.waiting, max(1.0, self._job_seconds))

    def _admit(self, segments: list[Segment]) -> None:
        self.knock()
        for segment in segments:
            if not self.models[segment.model].ready:
                raise ModelRecovering(segment.model)

    async def _draw(self, job: Job, segments: list[Segment], subscribers: Subscribers, ticket: Ticket) -> None:
        """The job's task: tells the audience everything, and its end whatever happens."""
        clock = Clock()
        try:
            async with self._slots.take(lambda position: subscribers.put(Queued(position))):
                clock.lap("queued")
                await JobRunner(job, segments, self.models, subscribers, ticket).run(clock)
        except asyncio.CancelledError:
            subscribers.close(ShuttingDown())  # after any other cancellation nobody is left to read it
            raise
        except Exception as error:
            subscribers.close(error)
        else:
            timings = clock.timings()
            self._job_seconds += 0.3 * (timings["total"] - timings["queued"] - self._job_seconds)
            subscribers.close()
        finally:
            ticket.leave()
            self._heal({segment.model for segment in segments})

    async def _painted(self, frame: Frame, job: Job, previews: Previews | None) -> Preview:
        model, wanted = self.models[frame.model], previews or Previews()
        picture = await model.preview(frame.denoised, wanted.tiny, frame.ticket, wanted.max_edge)
        data, size = await asyncio.to_thread(image_files.thumbnail, picture, job.size, wanted.max_edge, wanted.quality)
        return Preview(frame.index, frame.step, frame.steps, data, size, frame.skipped)

    def _heal(self, names: set[str]) -> None:
        """Compiles anew what has failed, while the other models go on."""
        for name in names - self._healing.keys():
            if not self.models[name].ready:
                self._healing[name] = asyncio.create_task(self._healed(name))
                self._on_health()

    async def _healed(self, name: str) -> None:
        try:
            await self.models[name].heal()
            log.info("model %s is compiled anew", name)
        except Exception:
            log.exception("model %s could not be compiled anew", name)  # it stays refused, and the health says so
        finally:
            del self._healing[name]
            self._on_health()
