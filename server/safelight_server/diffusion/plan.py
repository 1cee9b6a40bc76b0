"""Which steps a job takes, on which model: found once, at the door, and then with the job wherever it goes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import NamedTuple

import numpy as np

from safelight_server.errors import InvalidRequest, Violation
from safelight_server.jobs import Job
from safelight_server.model_folder.model_config import ModelConfig
from safelight_server.samplers.table import Schedule, make_schedule


@dataclass(frozen=True)
class Segment:
    """Steps [first, last) of a schedule, on one model."""

    model: str
    schedule: Schedule
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first

    @cached_property
    def fingerprint(self) -> str:
        """Equal for segments whose schedules take the same steps: an image can go on in either, to the bit."""
        found = hashlib.sha256()
        for field in fields(self.schedule):
            value = getattr(self.schedule, field.name)
            found.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
        return found.hexdigest()


class Trajectory(NamedTuple):
    """The way of one image through one segment: all that its steps need to know, and that no step changes."""

    job: Job
    segment: Segment
    seed: int

    def is_guided(self, step: int) -> bool:
        """Guidance works on the noisy steps, where the picture is laid out; the last ones hardly show it."""
        return is_guided(self.job, self.segment, step)

    def refreshes(self, step: int) -> bool:
        """Whether the whole UNet runs at this step: DeepCache leaves its inner layers out of the others."""
        return refreshes(self.job, self.segment, step)

    def may_begin(self, step: int) -> bool:
        """Whether an image can go on at this step from its state alone, without what the inner layers said before."""
        return step >= self.segment.last or self.refreshes(step)


@dataclass(frozen=True)
class Plan:
    """A job and its segments, one or two; none is empty."""

    job: Job
    segments: tuple[Segment, ...]

    @property
    def steps(self) -> int:
        """Of each image, on all its models."""
        return sum(map(len, self.segments))

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(segment.model for segment in self.segments)


def make_plan(job: Job, configs: Mapping[str, ModelConfig]) -> Plan:
    """The timesteps of a job, cut by its strength and by its handoff.

    Raises InvalidRequest, by the fields of the request, for what leaves a model nothing to do.
    """
    schedule = _schedule(job, configs[job.model])
    skipped = _skipped(job.steps, job.source.strength) if job.source else 0
    if skipped >= len(schedule.starts):
        strength = job.source.strength if job.source else 1.0
        raise InvalidRequest([Violation("strength", f"{strength:g} of {job.steps} steps leaves none to run")])
    first = schedule.starts[skipped]
    if job.handoff is None:
        return Plan(job, (Segment(job.model, schedule, first, len(schedule)),))
    second = _schedule(job, configs[job.handoff.model])
    # The cut is a noise level, not a share of the steps, as in diffusers' denoising_end and denoising_start.
    last = _steps_above(schedule, job.handoff.fraction)
    above = _steps_above(second, job.handoff.fraction)
    if last <= first or above >= len(second):
        rule = f"{job.handoff.fraction:g} of {job.steps} steps leaves one of the models none to run"
        raise InvalidRequest([Violation("refiner.handoff", rule)])
    begin = max(start for start in second.starts if start <= above)  # a step of two evaluations is taken whole
    refined = Segment(job.handoff.model, second, begin, len(second))
    return Plan(job, (Segment(job.model, schedule, first, last), refined))


def is_guided(job: Job, segment: Segment, step: int) -> bool:
    return step < job.acceleration.guided * len(segment.schedule)


def refreshes(job: Job, segment: Segment, step: int) -> bool:
    """The first step of a segment always does: what another model's layers said is of no use to this one's."""
    return (step - segment.first) % job.acceleration.deep_cache == 0


def _schedule(job: Job, config: ModelConfig) -> Schedule:
    scheduler = job.scheduler
    try:
        return make_schedule(
            scheduler.name,
            config.scheduler_config,
            job.steps,
            use_karras_sigmas=scheduler.use_karras_sigmas,
            timestep_spacing=scheduler.timestep_spacing,
            eta=scheduler.eta,
        )
    except ValueError as error:
        raise InvalidRequest([Violation("scheduler", str(error))]) from None


def _skipped(steps: int, strength: float) -> int:
    """How many steps a run leaves out that changes a picture by `strength`."""
    return max(steps - min(int(steps * strength), steps), 0)


def _steps_above(schedule: Schedule, fraction: float) -> int:
    """How many steps begin before `fraction` of the noise is gone."""
    train = schedule.num_train_timesteps
    cutoff = round(train - fraction * train)
    return int((schedule.timesteps >= cutoff).sum())
