"""The way of one job through its models, from words to finished files; what happens on the way goes to its audience."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing

from safelight_server import image_files
from safelight_server.arrays import Array
from safelight_server.diffusion.conditioning import Conditioning
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.diffusion.plan import Segment
from safelight_server.diffusion.state import Encoded, State
from safelight_server.jobs import Done, Image, Job, Progress, Started
from safelight_server.lanes.ticket import Ticket

from .mailbox import Frame
from .remaining_work import RemainingWork
from .subscribers import Subscribers


class Clock:
    """Seconds by stage, in one job."""

    def __init__(self) -> None:
        self._began = self._lap = time.perf_counter()
        self._seconds = dict.fromkeys(("queued", "encode", "denoise", "decode", "save"), 0.0)

    def lap(self, stage: str) -> None:
        """Counts the time since the last lap to `stage`."""
        now = time.perf_counter()
        self._seconds[stage] += now - self._lap
        self._lap = now

    def timings(self) -> dict[str, float]:
        return self._seconds | {"total": time.perf_counter() - self._began}


class JobRunner:
    """One job on its way. `legs` are the steps to take, on which of `models`; `claim` is kept current."""

    def __init__(
        self,
        job: Job,
        segments: Sequence[Segment],
        models: Mapping[str, Pipeline],
        subscribers: Subscribers,
        ticket: Ticket,
    ) -> None:
        self._job, self._segments, self._models, self._subscribers, self._ticket = (
            job,
            segments,
            models,
            subscribers,
            ticket,
        )
        self._steps = sum(segment.last - segment.first for segment in segments)
        self._outlook = RemainingWork(job, segments, models)
        ticket.remaining = self._outlook.left(0, 0)

    async def run(self, clock: Clock) -> None:
        """Puts Started, then Progress, Frames and one Image per seed, then Done."""
        job, first, last = self._job, self._models[self._job.model], self._models[self._segments[-1].model]
        self._subscribers.put(Started(job, self._steps, tuple(first.conditioner.warnings(job.prompts))))
        conditionings = [
            await self._models[segment.model].conditioner.encode(
                job, self._ticket, refines=job.source is not None or place > 0
            )
            for place, segment in enumerate(self._segments)
        ]
        encoded = await first.read(job, self._ticket)
        clock.lap("encode")
        for index, seed in enumerate(job.seeds):
            latents = await self._denoise(index, seed, conditionings, encoded)
            clock.lap("denoise")
            picture = await last.decode(latents, self._ticket, tiny=job.acceleration.tiny)
            self._ticket.leave()
            clock.lap("decode")
            data = await asyncio.to_thread(image_files.save, picture, job.output, job.recipe | {"seed": seed})
            clock.lap("save")
            self._subscribers.put(Image(index, seed, job.output.format, data, job.size))
        self._subscribers.put(Done(clock.timings()))

    async def _denoise(
        self, index: int, seed: int, conditionings: Sequence[Conditioning], encoded: Encoded | None
    ) -> Array:
        """The finished latents of one picture, through all legs."""
        done, job, begin = 0, self._job, self._segments[0]
        state, canvas = self._models[begin.model].start(begin, job, seed, encoded)
        self._ticket.remaining = self._outlook.left(index, 0)
        for segment, conditioning in zip(self._segments, conditionings, strict=True):
            # A new model looks back on no step of its own; latents and noise go on where they are.
            state = State(segment.first, state.latents, None, state.position)
            steps = self._models[segment.model].denoise(segment, job, seed, state, conditioning, canvas, self._ticket)
            async with aclosing(steps):
                async for step in steps:
                    state, done = step.state, done + 1
                    self._ticket.remaining = self._outlook.left(index, done)
                    self._subscribers.put(Progress(index, done, self._steps, segment.model, step.seconds))
                    awaited = self._subscribers.show(Frame(index, done, self._steps, segment.model, step.denoised))
                    self._models[segment.model].expect_previews(awaited)
        return state.latents
