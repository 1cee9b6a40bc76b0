"""The way of one job through its models, from prompts to finished files; its subscribers hear of everything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing

from safelight_server.arrays import Array
from safelight_server.diffusion.conditioning import Conditioning
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.diffusion.plan import Plan, Trajectory
from safelight_server.diffusion.state import Encoded
from safelight_server.images import files
from safelight_server.jobs import Done, Image, Progress, Started
from safelight_server.lanes.ticket import Standing, Ticket

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
    """Draws one job on `models`. `ticket` tells the lanes how urgent the job is, and how much of it is left."""

    def __init__(
        self, plan: Plan, models: Mapping[str, Pipeline], subscribers: Subscribers, caller: object = None
    ) -> None:
        self._plan, self._subscribers = plan, subscribers
        self._models = [models[name] for name in plan.models]
        self._work = RemainingWork(plan, models)
        self.remaining = self._work.seconds(0, 0)  # seconds of work
        self.lanes = frozenset(id(model.lane) for model in self._models)
        self.ticket = Ticket(self._standing, caller)

    @property
    def pace(self) -> float:
        """Seconds of work that its slowest lane does in a second."""
        return min(model.lane.pace for model in self._models)

    @property
    def knows_its_times(self) -> bool:
        """Whether `remaining` comes from inferences that were seen, and not from others of another size."""
        return self._work.is_known

    def _standing(self) -> Standing:
        return Standing(self._subscribers.priority, self._subscribers.deadline, self.remaining)

    async def run(self, clock: Clock) -> None:
        """Puts Started, then Progress, Frames and one Image per seed, then Done. Raises InferenceFailed."""
        try:
            await self._run(clock)
        finally:
            self.ticket.leave()

    async def _run(self, clock: Clock) -> None:
        job, first, last = self._plan.job, self._models[0], self._models[-1]
        self._subscribers.put(Started(job, self._plan.steps, tuple(first.conditioner.warnings(job.prompts))))
        conditionings = [
            await model.conditioner.encode(job, self.ticket, refines=job.source is not None or place > 0)
            for place, model in enumerate(self._models)
        ]
        encoded = await first.read(job, self.ticket)
        clock.lap("encode")
        for index, seed in enumerate(job.seeds):
            latents = await self._denoise(index, seed, conditionings, encoded)
            clock.lap("denoise")
            picture = await last.decode(latents, self.ticket, tiny=job.acceleration.tiny)
            self.ticket.leave()
            clock.lap("decode")
            data = await asyncio.to_thread(files.save, picture, job.output, job.recipe | {"seed": seed}, job.model_hash)
            clock.lap("save")
            self._subscribers.put(Image(index, seed, job.output.format, data, job.size))
        self._subscribers.put(Done(clock.timings()))

    async def _denoise(
        self, index: int, seed: int, conditionings: Sequence[Conditioning], encoded: Encoded | None
    ) -> Array:
        """The finished latents (1, channels, h, w) of one image, through all segments."""
        trajectories = [Trajectory(self._plan.job, segment, seed) for segment in self._plan.segments]
        state, canvas = self._models[0].start(trajectories[0], encoded)
        done, steps = 0, self._plan.steps
        self.remaining = self._work.seconds(index, 0)
        for model, trajectory, conditioning in zip(self._models, trajectories, conditionings, strict=True):
            state = state.entering(trajectory.segment)
            async with aclosing(model.denoise(trajectory, state, conditioning, canvas, self.ticket)) as denoising:
                async for step in denoising:
                    state, done = step.state, done + 1
                    self.remaining = self._work.seconds(index, done)
                    name = trajectory.segment.model
                    self._subscribers.put(Progress(index, done, steps, name, step.seconds))
                    self._subscribers.show(Frame(index, done, steps, name, step.denoised), self.ticket)
        return state.latents
