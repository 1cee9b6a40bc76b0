"""Which steps a job takes, which of them are guided, and at which the whole UNet runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from safelight_server.diffusion.plan import Trajectory
from safelight_server.errors import InvalidRequest
from safelight_server.jobs import Acceleration, Handoff, Job, Scheduler, Source
from support.engines import XL, plan

EIGHT = replace(XL, steps=8)
PICTURE = np.zeros((128, 128, 3), np.uint8)


def trajectory(job: Job, place: int = 0) -> Trajectory:
    return Trajectory(job, plan(job).segments[place], job.seeds[0])


@pytest.mark.parametrize(
    ("interval", "steps"), [(1, [0, 1, 2, 3, 4, 5, 6, 7]), (2, [0, 2, 4, 6]), (3, [0, 3, 6]), (9, [0])]
)
def test_the_whole_unet_runs_at_every_so_many_steps(interval: int, steps: list[int]) -> None:
    ours = trajectory(replace(EIGHT, acceleration=Acceleration(deep_cache=interval)))
    assert [step for step in range(8) if ours.refreshes(step)] == steps


def test_the_whole_unet_runs_at_the_first_step_of_each_segment() -> None:
    job = replace(EIGHT, handoff=Handoff("demo-refiner", 0.5), acceleration=Acceleration(deep_cache=3))
    refined = trajectory(job, 1)
    assert refined.segment.first % 3, "else it would run there anyway"
    assert refined.refreshes(refined.segment.first)


@pytest.mark.parametrize(("share", "guided"), [(1.0, 8), (0.5, 4), (0.55, 5), (0.0, 0)])
def test_guidance_is_for_the_first_steps(share: float, guided: int) -> None:
    ours = trajectory(replace(EIGHT, acceleration=Acceleration(guided=share)))
    assert [ours.is_guided(step) for step in range(8)] == [step < guided for step in range(8)]


def test_segments_are_cut_by_strength_and_by_handoff() -> None:
    whole = plan(EIGHT)
    assert [(segment.first, segment.last) for segment in whole.segments] == [(0, 8)]
    half = plan(replace(EIGHT, source=Source(PICTURE, None, 0.5)))
    assert (half.segments[0].first, half.steps) == (4, 4)
    handed = plan(replace(EIGHT, handoff=Handoff("demo-refiner", 0.5)))
    assert handed.models == ("demo-xl", "demo-refiner")
    assert handed.steps == 8
    assert handed.segments[0].last == handed.segments[1].first == 4


def test_steps_of_two_evaluations_are_begun_whole() -> None:
    """As get_timesteps of diffusers' pipelines does it, which counts evaluations by the scheduler's order."""
    heun = replace(EIGHT, scheduler=Scheduler("heun"))
    assert plan(heun).steps == 15
    half = plan(replace(heun, source=Source(PICTURE, None, 0.5)))
    assert (half.segments[0].first, half.steps) == (8, 7)
    first, second = plan(replace(heun, handoff=Handoff("demo-refiner", 0.5))).segments
    timesteps = first.schedule.timesteps
    assert first.last == (timesteps >= 500).sum()
    assert len(second) == (timesteps < 500).sum() + 1
    assert second.first % 2 == 0


@pytest.mark.parametrize(
    ("job", "field"),
    [
        (replace(EIGHT, source=Source(PICTURE, None, 0.01)), "strength"),
        (replace(EIGHT, handoff=Handoff("demo-refiner", 0.001)), "refiner.handoff"),
        (replace(EIGHT, steps=5000), "scheduler"),
    ],
)
def test_what_leaves_a_model_nothing_to_do_is_refused(job: Job, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        plan(job)
    assert [violation.field for violation in caught.value.violations] == [field]
