"""The way of one job through its models, from prompts to finished files; its subscribers hear of everything."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import NamedTuple

from safelight_server.arrays import Array, Pixels
from safelight_server.diffusion.conditioning import Conditioning
from safelight_server.diffusion.pipeline import Pipeline, Step
from safelight_server.diffusion.plan import Plan, Trajectory
from safelight_server.diffusion.state import Encoded
from safelight_server.errors import NotStarted
from safelight_server.events import Done, Image, Progress, Rested, Resumed, Started
from safelight_server.images import files
from safelight_server.job_store.checkpoints import Checkpoint
from safelight_server.jobs import JobState
from safelight_server.lanes.ticket import Standing, Ticket

from . import receipts
from .checkpointing import Checkpointing
from .clock import Clock
from .mailbox import Frame
from .remaining_work import RemainingWork
from .subscribers import Subscribers

QUARTERS = 4  # of an image's steps: where they end it is always written down, for forks of quick jobs
RESTED_EDGE, RESTED_QUALITY = 512, 90  # of the picture that tells how one looks that rests


class Beginning(NamedTuple):
    """Where the work begins: after so many images, which are done, and for the next one after a checkpoint.

    `resumed`: the work was begun before, by a server that has ended since.
    """

    images: int = 0
    checkpoint: Checkpoint | None = None
    resumed: Resumed | None = None


AT_THE_START = Beginning()


class Drawn(NamedTuple):
    """An image whose steps are over; `early`: after this step, because somebody asked to finish."""

    latents: Array
    done: int
    early: int | None
    model: str  # that took the last step


class JobRunner:
    """Draws one job on `models`. `ticket` tells the lanes how urgent the job is, and how much of it is left."""

    def __init__(
        self,
        plan: Plan,
        models: Mapping[str, Pipeline],
        subscribers: Subscribers,
        caller: object = None,
        beginning: Beginning = AT_THE_START,
        checkpointing: Checkpointing | None = None,
    ) -> None:
        self._plan, self._subscribers = plan, subscribers
        self._models = [models[name] for name in plan.models]
        self._work = RemainingWork(plan, models)
        self._beginning, self._checkpointing = beginning, checkpointing
        self._finishing = False
        self._last = plan.steps if plan.job.stop_at is None else plan.job.stop_at  # the step that each image ends after
        self._kept = {self._last, *(plan.steps * part // QUARTERS for part in range(1, QUARTERS))}
        self.warnings: tuple[str, ...] = ()  # to be told with those of the prompts
        self.index = beginning.images  # of the image that is being drawn
        self.step = beginning.checkpoint.done if beginning.checkpoint else 0  # its steps that are done
        self.remaining = self._work.seconds(self.index, self.step)  # seconds of work
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

    def finish(self) -> None:
        """Ends with what is there after the running step. Raises NotStarted before the first one is done."""
        if not self.index and not self.step:
            raise NotStarted(self._plan.job.id)
        self._finishing = True

    def keep(self) -> None:
        """Writes down where it stands, if anybody can ask for it again."""
        if self._checkpointing is not None:
            self._checkpointing.write()

    def _standing(self) -> Standing:
        return Standing(self._subscribers.priority, self._subscribers.deadline, self.remaining)

    async def run(self, clock: Clock) -> JobState:
        """Puts Started, then Progress, Frames and one Image per seed, then Done; returns how it ended.

        Raises InferenceFailed.
        """
        try:
            return await self._run(clock)
        finally:
            self.ticket.leave()

    async def _run(self, clock: Clock) -> JobState:
        job, first, resting = self._plan.job, self._models[0], False
        clock.enter("encode")
        self._subscribers.put(self._beginning.resumed or self._started())
        conditionings = [
            await model.conditioner.encode(job, self.ticket, refines=job.source is not None or place > 0)
            for place, model in enumerate(self._models)
        ]
        encoded = await first.read(job, self.ticket)
        for index in range(self._beginning.images, len(job.seeds)):
            drawn = await self._denoise(index, conditionings, encoded, clock)
            resting = drawn.early is None and drawn.done < self._plan.steps
            await (self._rest if resting else self._finish)(index, drawn, clock)
            if self._finishing:
                break
        self._subscribers.put(Done(clock.timings()))
        return JobState.RESTING if resting else JobState.SUCCEEDED

    def _started(self) -> Started:
        job = self._plan.job
        warnings = (*self._models[0].conditioner.warnings(job.prompts), *self.warnings)
        return Started(
            job.model,
            job.size,
            self._plan.steps,
            job.guidance,
            job.scheduler.name,
            job.seeds,
            job.acceleration,
            warnings,
        )

    async def _finish(self, index: int, drawn: Drawn, clock: Clock) -> None:
        """Decodes an image, and tells its file."""
        job, model = self._plan.job, self._models[-1]
        clock.enter("decode", index, model.info.name)
        picture = await model.decode(drawn.latents, self.ticket, tiny=job.acceleration.tiny)
        self.ticket.leave()
        clock.enter("save", index)
        image = await asyncio.to_thread(self._image, index, drawn, picture)
        self._subscribers.put(image)

    def _image(self, index: int, drawn: Drawn, picture: Pixels) -> Image:
        """The file, with all that says how it was drawn; takes a moment."""
        job, seed, infos = self._plan.job, self._plan.job.seeds[index], [model.info for model in self._models]
        receipt = receipts.receipt(job, seed, infos, picture, drawn.early)
        data = files.save(picture, job.output, job.recipe | {"seed": seed}, job.model_hash, receipt)
        return Image(index, seed, job.output.format, data, job.size, receipt, drawn.early)

    async def _rest(self, index: int, drawn: Drawn, clock: Clock) -> None:
        """Tells how an image looks that stays as it is."""
        job = self._plan.job
        clock.enter("decode", index, drawn.model)
        model = next(model for model in self._models if model.info.name == drawn.model)
        picture = await model.preview(drawn.latents, None, self.ticket, RESTED_EDGE)
        data, size = await asyncio.to_thread(files.thumbnail, picture, job.size, RESTED_EDGE, RESTED_QUALITY)
        self._subscribers.put(Rested(index, drawn.done, self._plan.steps, job.seeds[index], data, size))

    async def _denoise(
        self, index: int, conditionings: Sequence[Conditioning], encoded: Encoded | None, clock: Clock
    ) -> Drawn:
        """One image through all segments: its finished latents (1, channels, h, w), or x0 where it ends before."""
        plan = self._plan
        trajectories = [Trajectory(plan.job, segment, plan.job.seeds[index]) for segment in plan.segments]
        state, canvas = self._models[0].start(trajectories[0], encoded)
        begun = self._beginning.checkpoint if index == self._beginning.images else None
        self.index, self.step = index, begun.done if begun else 0
        self.remaining = self._work.seconds(index, self.step)
        for place, (model, trajectory) in enumerate(zip(self._models, trajectories, strict=True)):
            if begun and place < begun.segment:
                continue
            clock.enter("denoise", index, trajectory.segment.model)
            state = begun.state if begun and place == begun.segment else state.entering(trajectory.segment)
            async with aclosing(model.denoise(trajectory, state, conditionings[place], canvas, self.ticket)) as steps:
                async for step in steps:
                    state, self.step = step.state, self.step + 1
                    clock.step()
                    self._tell(index, place, trajectory, step)
                    if not self._is_over:
                        self._show(index, trajectory, step)
                    if self._finishing or (self.step >= self._last < plan.steps):
                        early = self.step if self._finishing and self.step < plan.steps else None
                        return Drawn(step.denoised, self.step, early, trajectory.segment.model)
        return Drawn(state.latents, self.step, None, plan.models[-1])

    def _tell(self, index: int, place: int, trajectory: Trajectory, step: Step) -> None:
        """A step is done: keeps it for those who come later, and tells those who watch."""
        self.remaining = self._work.seconds(index, self.step)
        if self._checkpointing is not None and self.step < self._plan.steps and trajectory.may_begin(step.state.step):
            segment = trajectory.segment
            level = segment.schedule.noising(step.state.step)
            kept = Checkpoint(index, self.step, place, step.state, step.denoised, level, segment.fingerprint)
            self._checkpointing.after_step(kept, step.seconds, wanted=self.step in self._kept)
        steps, name = self._plan.steps, trajectory.segment.model
        self._subscribers.put(Progress(index, self.step, steps, name, step.seconds))

    @property
    def _is_over(self) -> bool:
        """Whether the image has had its last step: what it looks like follows at once, and a preview would delay it."""
        return self._finishing or self.step >= self._last

    def _show(self, index: int, trajectory: Trajectory, step: Step) -> None:
        frame = Frame(index, self.step, self._plan.steps, trajectory.segment.model, step.denoised)
        self._subscribers.show(frame, self.ticket)
