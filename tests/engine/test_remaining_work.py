"""How much work is left in a job, in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.engine.remaining_work import RemainingWork
from safelight_server.jobs import Acceleration, Handoff, Job
from safelight_server.lanes.lane import Lane
from support.engines import XL, load, plan

TEN = replace(XL, steps=10)


@pytest.fixture(scope="module")
def served() -> Mapping[str, Pipeline]:
    """demo-xl and its refiner, with made-up step times."""
    lane = Lane("CPU")
    models = {name: load(name, lane) for name in ("demo-xl", "demo-refiner")}
    for network, shape, seconds in (
        ("demo-xl/unet", (2, 4, 16, 16), 2.0),
        ("demo-xl/unet", (1, 4, 16, 16), 1.0),
        ("demo-xl/unet_shallow", (2, 4, 16, 16), 0.25),
        ("demo-xl/vae_decoder", (1, 4, 16, 16), 5.0),
        ("demo-xl/vae_tiny_decoder", (1, 4, 16, 16), 0.5),
        ("demo-refiner/unet", (2, 4, 16, 16), 1.5),
        ("demo-refiner/vae_decoder", (1, 4, 16, 16), 5.0),
    ):
        lane.step_times.observe(network, shape, seconds)
    return models


@pytest.mark.parametrize(
    ("job", "seconds"),
    [
        (TEN, 10 * 2 + 5),
        (replace(TEN, guidance=1.0), 10 * 1 + 5),
        (replace(TEN, seeds=(1, 2, 3)), 3 * (10 * 2 + 5)),
        (replace(TEN, acceleration=Acceleration(deep_cache=5)), 2 * 2 + 8 * 0.25 + 5),
        (replace(TEN, acceleration=Acceleration(guided=0.5, tiny=True)), 5 * 2 + 5 * 1 + 0.5),
        (replace(TEN, handoff=Handoff("demo-refiner", 0.8)), 8 * 2 + 2 * 1.5 + 5),
        (replace(TEN, size=(256, 256)), 4 * (10 * 2 + 5)),  # never run: scaled by its pixels
    ],
    ids=str,
)
def test_seconds_of_a_whole_job(job: Job, seconds: float, served: Mapping[str, Pipeline]) -> None:
    assert RemainingWork(plan(job), served).seconds(0, 0) == pytest.approx(seconds)


def test_seconds_on_the_way(served: Mapping[str, Pipeline]) -> None:
    work = RemainingWork(plan(replace(TEN, seeds=(1, 2))), served)
    assert [work.seconds(*at) for at in ((0, 0), (0, 4), (0, 10), (1, 0), (1, 10))] == [50, 42, 30, 25, 5]
