"""The steps of one image, through all segments of its plan, from the start or from a checkpoint."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import NamedTuple

from safelight_server.diffusion.conditioning import Conditioning
from safelight_server.diffusion.pipeline import Pipeline, Step
from safelight_server.diffusion.plan import Plan, Trajectory
from safelight_server.diffusion.state import Encoded
from safelight_server.job_store.checkpoints import Checkpoint
from safelight_server.lanes.ticket import Ticket


class Prepared(NamedTuple):
    """A job whose prompts and picture were read: its models, and what each of them is given beside the latents."""

    plan: Plan
    models: Sequence[Pipeline]  # of the segments
    conditionings: Sequence[Conditioning]
    encoded: Encoded | None

    def trajectories(self, index: int) -> list[Trajectory]:
        job = self.plan.job
        return [Trajectory(job, segment, job.seeds[index]) for segment in self.plan.segments]

    def fit_in_a_batch(self, index: int) -> int:
        """How many images such as this one have room in the largest batch that pays; 1: none does."""
        model, conditioning, trajectory = self.models[0], self.conditionings[0], self.trajectories(index)[0]
        state, canvas = model.start(trajectory, self.encoded)
        return max(1, model.most_rows(trajectory, state, conditioning, canvas) // conditioning.rows)


class Taken(NamedTuple):
    """A step that is done: the image has so many behind it, and this one was in segment number `place`."""

    image: int
    done: int
    place: int
    trajectory: Trajectory
    step: Step

    @property
    def model(self) -> str:
        return self.trajectory.segment.model

    @property
    def checkpoint(self) -> Checkpoint | None:
        """None where no image can go on from its state alone."""
        (_, segment, _), state = self.trajectory, self.step.state
        if not self.trajectory.may_begin(state.step):
            return None
        level = segment.schedule.noising(state.step)
        return Checkpoint(self.image, self.done, self.place, state, self.step.denoised, level, segment.fingerprint)


async def steps_of(
    job: Prepared, index: int, begun: Checkpoint | None, ticket: Ticket, enter: Callable[[str], None]
) -> AsyncGenerator[Taken, None]:
    """Each step as it is done. `begun`: the image goes on from here. `enter` hears of each segment's model before."""
    trajectories, done = job.trajectories(index), begun.done if begun else 0
    state, canvas = job.models[0].start(trajectories[0], job.encoded)
    for place, (model, trajectory) in enumerate(zip(job.models, trajectories, strict=True)):
        if begun and place < begun.segment:
            continue
        enter(trajectory.segment.model)
        state = begun.state if begun and place == begun.segment else state.entering(trajectory.segment)
        async with aclosing(model.denoise(trajectory, state, job.conditionings[place], canvas, ticket)) as steps:
            async for step in steps:
                state, done = step.state, done + 1
                yield Taken(index, done, place, trajectory, step)
