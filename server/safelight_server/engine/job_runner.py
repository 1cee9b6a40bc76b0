"""The way of one job through its models, from prompts to finished files; its subscribers hear of everything."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from typing import NamedTuple

from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.diffusion.plan import Plan
from safelight_server.errors import NotStarted
from safelight_server.events import Done, Progress, Resumed, Started
from safelight_server.job_store.checkpoints import Checkpoint
from safelight_server.jobs import JobState
from safelight_server.lanes.ticket import Standing, Ticket

from . import image_events
from .checkpointing import Checkpointing
from .clock import Clock
from .image_events import RESTED_EDGE, Drawn
from .image_steps import Prepared, Taken, steps_of
from .mailbox import Frame
from .remaining_work import RemainingWork
from .subscribers import Subscribers
from .together import all_of

QUARTERS = 4  # of an image's steps: where they end it is always written down, for forks of quick jobs


class Beginning(NamedTuple):
    """Where the work begins: after so many images, which are done, and for the next one after a checkpoint.

    `resumed`: the work was begun before, by a server that has ended since.
    """

    images: int = 0
    checkpoint: Checkpoint | None = None
    resumed: Resumed | None = None


AT_THE_START = Beginning()


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
        self.index = beginning.images  # of the image that is being drawn; the first of those that are drawn together
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
        clock.enter("encode")
        self._subscribers.put(self._beginning.resumed or self._started())
        job, seeds = await self._prepare(), self._plan.job.seeds
        index, resting = self._beginning.images, False
        while index < len(seeds) and not (self._finishing and index > self._beginning.images):
            images = range(index, min(index + self._together(index, job), len(seeds)))
            for index, drawn in zip(images, await self._draw(images, job, clock), strict=True):
                resting = drawn.early is None and drawn.done < self._plan.steps
                self._turn_to(index, drawn, images)
                await (self._rest if resting else self._finish)(index, drawn, clock)
            index = images.stop
        self._subscribers.put(Done(clock.timings()))
        return JobState.RESTING if resting else JobState.SUCCEEDED

    def _started(self) -> Started:
        prompts = self._models[0].conditioner.warnings(self._plan.job.prompts)
        return image_events.started(self._plan, (*prompts, *self.warnings))

    async def _prepare(self) -> Prepared:
        job = self._plan.job
        conditionings = [
            await model.conditioner.encode(job, self.ticket, refines=job.source is not None or place > 0)
            for place, model in enumerate(self._models)
        ]
        return Prepared(self._plan, self._models, conditionings, await self._models[0].read(job, self.ticket))

    async def _finish(self, index: int, drawn: Drawn, clock: Clock) -> None:
        """Decodes an image, and tells its file."""
        job, model = self._plan.job, self._models[-1]
        clock.enter("decode", index, model.info.name)
        picture = await model.decode(drawn.latents, self.ticket, tiny=job.acceleration.tiny)
        self.ticket.leave()
        clock.enter("save", index)
        infos = [model.info for model in self._models]
        self._subscribers.put(await asyncio.to_thread(image_events.finished, self._plan, infos, index, drawn, picture))

    async def _rest(self, index: int, drawn: Drawn, clock: Clock) -> None:
        """Tells how an image looks that stays as it is."""
        clock.enter("decode", index, drawn.model)
        model = next(model for model in self._models if model.info.name == drawn.model)
        picture = await model.preview(drawn.latents, None, self.ticket, RESTED_EDGE)
        self._subscribers.put(await asyncio.to_thread(image_events.rested, self._plan, index, drawn, picture))

    def _together(self, index: int, job: Prepared) -> int:
        """How many images are drawn together from this one on: as many as a batch that pays has room for.

        One, where somebody watches previews: they come in the order of the images. And where one goes on from a
        checkpoint, for its steps are not the others'.
        """
        alone = self._begun(index) or self._subscribers.viewers or index + 1 == len(self._plan.job.seeds)
        return 1 if alone else job.fit_in_a_batch(index)

    def _begun(self, index: int) -> Checkpoint | None:
        return self._beginning.checkpoint if index == self._beginning.images else None

    async def _draw(self, images: range, job: Prepared, clock: Clock) -> list[Drawn]:
        """The steps of these images. The first one leads: others' rows join its own, and it alone tells of steps."""
        begun = self._begun(images.start)
        self.index, self.step = images.start, begun.done if begun else 0
        self.remaining = self._work.seconds(self.index, self.step, len(images))
        others = [Ticket(self._standing, self.ticket.caller) for _ in images[1:]]
        tickets = zip(images, (self.ticket, *others), strict=True)
        try:
            return await all_of([self._denoise(index, images, job, ticket, clock) for index, ticket in tickets])
        finally:
            for ticket in others:
                ticket.leave()

    async def _denoise(self, index: int, images: range, job: Prepared, ticket: Ticket, clock: Clock) -> Drawn:
        """One image through all segments: its finished latents (1, channels, h, w), or x0 where it ends before."""
        leads, latents = index == images.start, None

        def enter(model: str) -> None:
            if leads:
                clock.enter("denoise", index, model)

        async with aclosing(steps_of(job, index, self._begun(index), ticket, enter)) as steps:
            async for taken in steps:
                clock.step()
                self._keep(taken, leads=leads)
                if leads:
                    self._tell(taken, images)
                latents = taken.step.state.latents
                if self._finishing or taken.done >= self._last:
                    break
        assert latents is not None, "a plan has steps"
        if not leads:
            ticket.leave()  # the leader's decoding is next
        whole = taken.done == self._plan.steps
        early = taken.done if self._finishing and not whole else None
        return Drawn(latents if whole else taken.step.denoised, taken.done, early, taken.model, taken.step.seconds)

    def _keep(self, taken: Taken, *, leads: bool) -> None:
        """Writes a step down for those who come later. Of images that do not lead, only what forks may ask for."""
        if self._checkpointing is None or taken.done >= self._plan.steps or (kept := taken.checkpoint) is None:
            return
        wanted = taken.done in self._kept
        if leads:
            self._checkpointing.after_step(kept, taken.step.seconds, wanted=wanted)
        elif wanted:
            self._checkpointing.put(kept)

    def _tell(self, taken: Taken, images: range) -> None:
        """Those who watch hear of a step. What the image looks like after its last one follows at once, and a preview
        would only delay it."""
        index, done, steps = taken.image, taken.done, self._plan.steps
        self.step, self.remaining = done, self._work.seconds(index, done, len(images))
        self._subscribers.put(Progress(index, done, steps, taken.model, taken.step.seconds))
        if not self._finishing and done < self._last:
            self._subscribers.show(Frame(index, done, steps, taken.model, taken.step.denoised), self.ticket)

    def _turn_to(self, index: int, drawn: Drawn, images: range) -> None:
        """The steps of an image are over, and its picture is next. One that did not lead has not told of them yet."""
        self.index, self.step = index, drawn.done
        self.remaining = self._work.seconds(index, self._plan.steps, images.stop - index)
        if index != images.start:
            self._subscribers.put(Progress(index, drawn.done, self._plan.steps, drawn.model, drawn.seconds))
