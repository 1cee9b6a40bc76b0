"""The way of one job through its models, from words to finished files; what happens on the way goes to its audience."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing

from safelight_server import image_files
from safelight_server.diffusion.conditioning import Conditioning
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.diffusion.plan import Leg
from safelight_server.diffusion.state import Encoded, State
from safelight_server.jobs import Array, Done, Image, Job, Progress, Started
from safelight_server.lanes.ticket import Claim

from .mailbox import Frame
from .remaining_work import Outlook
from .subscribers import Audience


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


class Drawing:
    """One job on its way. `legs` are the steps to take, on which of `models`; `claim` is kept current."""

    def __init__(
        self, job: Job, legs: Sequence[Leg], models: Mapping[str, Pipeline], audience: Audience, claim: Claim
    ) -> None:
        self._job, self._legs, self._models, self._audience, self._claim = job, legs, models, audience, claim
        self._steps = sum(leg.last - leg.first for leg in legs)
        self._outlook = Outlook(job, legs, models)
        claim.remaining = self._outlook.left(0, 0)

    async def run(self, clock: Clock) -> None:
        """Puts Started, then Progress, Frames and one Image per seed, then Done."""
        job, first, last = self._job, self._models[self._job.model], self._models[self._legs[-1].model]
        self._audience.put(Started(job, self._steps, tuple(first.conditioner.warnings(job.words))))
        conditionings = [
            await self._models[leg.model].conditioner.encode(
                job, self._claim, refines=job.source is not None or place > 0
            )
            for place, leg in enumerate(self._legs)
        ]
        encoded = await first.read(job, self._claim)
        clock.lap("encode")
        for index, seed in enumerate(job.seeds):
            latents = await self._denoise(index, seed, conditionings, encoded)
            clock.lap("denoise")
            picture = await last.decode(latents, self._claim, tiny=job.acceleration.tiny)
            self._claim.leave()
            clock.lap("decode")
            data = await asyncio.to_thread(image_files.save, picture, job.output, job.recipe | {"seed": seed})
            clock.lap("save")
            self._audience.put(Image(index, seed, job.output.format, data, job.size))
        self._audience.put(Done(clock.timings()))

    async def _denoise(
        self, index: int, seed: int, conditionings: Sequence[Conditioning], encoded: Encoded | None
    ) -> Array:
        """The finished latents of one picture, through all legs."""
        done, job, begin = 0, self._job, self._legs[0]
        state, canvas = self._models[begin.model].start(begin, job, seed, encoded)
        self._claim.remaining = self._outlook.left(index, 0)
        for leg, conditioning in zip(self._legs, conditionings, strict=True):
            # A new model looks back on no step of its own; latents and noise go on where they are.
            state = State(leg.first, state.latents, None, state.position)
            steps = self._models[leg.model].denoise(leg, job, seed, state, conditioning, canvas, self._claim)
            async with aclosing(steps):
                async for step in steps:
                    state, done = step.state, done + 1
                    self._claim.remaining = self._outlook.left(index, done)
                    self._audience.put(Progress(index, done, self._steps, leg.model, step.seconds))
                    awaited = self._audience.show(Frame(index, done, self._steps, leg.model, step.denoised))
                    self._models[leg.model].expect_previews(awaited)
        return state.latents
