"""Which steps a job takes, on which model: the timesteps cut by strength and by the handoff."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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


def segments(job: Job, config: Mapping[str, ModelConfig]) -> list[Segment]:
    """One leg, or two with a handoff; none is empty. Raises InvalidRequest for what leaves a model nothing to do."""
    schedule = _schedule(job, config[job.model])
    first = _start(job.steps, job.source.strength) if job.source else 0
    if first >= len(schedule):
        strength = job.source.strength if job.source else 1.0
        raise InvalidRequest([Violation("strength", f"{strength:g} of {job.steps} steps leaves none to run")])
    if job.handoff is None:
        return [Segment(job.model, schedule, first, len(schedule))]
    second = _schedule(job, config[job.handoff.model])
    # The cut is a noise level, not a share of the steps, as in diffusers' denoising_end and denoising_start.
    last = _above(schedule, job.handoff.fraction)
    begin = _above(second, job.handoff.fraction)
    if last <= first or begin >= len(second):
        raise InvalidRequest(
            [
                Violation(
                    "refiner.handoff",
                    f"{job.handoff.fraction:g} of {job.steps} steps leaves one of the models none to run",
                )
            ]
        )
    return [Segment(job.model, schedule, first, last), Segment(job.handoff.model, second, begin, len(second))]


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


def _start(steps: int, strength: float) -> int:
    """The first step of a run that changes a picture by `strength`."""
    return max(steps - min(int(steps * strength), steps), 0)


def _above(schedule: Schedule, fraction: float) -> int:
    """How many timesteps come before `fraction` of the noise is gone."""
    train = schedule.num_train_timesteps
    cutoff = round(train - fraction * train)
    return int((schedule.timesteps >= cutoff).sum())
