"""safelight_server.samplers.table against diffusers' schedulers of the same configuration, over whole runs."""

from __future__ import annotations

from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from safelight_server.samplers.noise import randn
from safelight_server.samplers.scheduler_config import settings
from safelight_server.samplers.table import Schedule
from safelight_server.samplers.training import alphas_bar
from support.sampler_cases import (
    ANY,
    ROUGH,
    SHAPE,
    SPACINGS,
    Case,
    cases,
    class_of,
    clean,
    model,
    near,
    ours,
    theirs,
)
from support.scheduler_configs import SDXL

pytestmark = [  # diffusers' own
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning"),
]


CASES = cases()


@pytest.mark.parametrize("case", CASES)
def test_a_run_is_that_of_diffusers(case: Case) -> None:
    for steps, begin in case.runs:
        if begin and case.sampler == "pndm":
            continue  # see test_plms_on_the_way_begins_as_at_the_start
        want, got = theirs(case, steps, begin), ours(case, steps, begin)
        assert len(got.samples) == len(want.samples)
        largest = np.maximum.accumulate(got.largest) * ROUGH.get(case.sampler, 1.0)
        near(got.samples, want.samples, largest, (steps, begin))
        near(got.x0, want.x0, largest, (steps, begin))


@pytest.mark.parametrize("case", CASES)
def test_a_schedule_is_that_of_diffusers(case: Case) -> None:
    for steps in sorted({steps for steps, _ in case.runs}):
        scheduler, schedule = case.scheduler, case.schedule(steps)
        scheduler.set_timesteps(steps)
        check_timesteps(case, scheduler, schedule)
        assert schedule.num_train_timesteps == scheduler.config.num_train_timesteps
        assert schedule.init_noise_sigma == pytest.approx(float(scheduler.init_noise_sigma), rel=1e-6)
        assert schedule.noising(len(schedule)) == (1.0, 0.0)
        sample, noise = torch.from_numpy(clean()), torch.from_numpy(randn(1, 0, SHAPE)[0])
        want = []
        for i, timestep in enumerate(scheduler.timesteps):
            if hasattr(scheduler, "set_begin_index"):
                scheduler.set_begin_index(i)  # which of two equal timesteps
            want.append(scheduler.add_noise(sample, noise, timestep[None]).numpy())
        levels = [np.array(schedule.noising(i), np.float32) for i in range(len(schedule))]
        near([a * sample.numpy() + b * noise.numpy() for a, b in levels], want, said=steps)


def check_timesteps(case: Case, scheduler: Any, schedule: Schedule) -> None:
    got, want = schedule.timesteps, scheduler.timesteps.numpy()
    assert got.dtype == (np.int64 if want.dtype == np.int64 else np.float32)  # diffusers has float64, too
    looked_up = scheduler.order == 2 or any(case.config.get(key) for key in SPACINGS)
    slack = slack_of(scheduler, want) if looked_up else np.full(len(want), 1e-6 * case.sampler.startswith("edm"))
    slack = slack + 1.2e-3 * (case.sampler == "kdpm2_ancestral")  # its middles are the steps' ends, but for roundings
    np.testing.assert_array_less(abs(got.astype(np.float64) - want), 3e-7 * abs(want) + slack + 1e-12)
    whole = abs(want - want.round()) <= slack  # so near to a whole number that rounding may fall to either side
    np.testing.assert_array_equal(got.astype(np.int64)[~whole], want.astype(np.int64)[~whole])


def slack_of(scheduler: Any, times: Any) -> Any:
    """How far the roundings in the table of sigmas move the times that are looked up for Karras sigmas.

    torch multiplies the table up in float32, and rounds otherwise on other processors: up to 3e-6, at zero SNR.
    """
    bar = scheduler.alphas_cumprod.double().numpy()
    slopes = np.diff(np.log((1 - bar) / bar) / 2)
    return 3e-6 / slopes[np.clip(times.astype(int), 0, len(slopes) - 1)]


def test_from_much_noise_to_little_in_one_ancestral_step_is_a_number() -> None:
    """diffusers subtracts nearly equal squares in float32 here, and takes the square root of less than 0."""
    case = Case("euler_ancestral", {**SDXL, **ANY["cosine betas, v, linspace"]}, None)
    assert np.isnan(theirs(case, 4, 0).samples[-1]).all()
    assert np.isfinite(ours(case, 4, 0).samples).all()


def test_plms_on_the_way_begins_as_at_the_start() -> None:
    """diffusers takes the first step twice wherever a job begins: there, its next one skips a timestep."""
    case = Case("pndm", {**SDXL, "skip_prk_steps": True}, None)
    run, schedule = ours(case, 20, 6), case.schedule(20)
    assert len(run.samples) == 14 == len(schedule) - schedule.starts[6]
    want = run.samples[0]
    x = np.float32(schedule.noising(7).signal) * clean() + np.float32(schedule.noising(7).noise) * randn(5, 0, SHAPE)[0]
    scheduler = class_of("DDIMScheduler").from_config(case.config)
    scheduler.set_timesteps(20)
    t = scheduler.timesteps[6]
    assert t == schedule.timesteps[7]
    near([want], [scheduler.step(torch.from_numpy(model(x, t)), t, torch.from_numpy(x)).prev_sample.numpy()])


@pytest.mark.parametrize("name", ANY)
def test_the_table_of_the_training_is_that_of_diffusers(name: str) -> None:
    config = {**SDXL, **ANY[name]}
    want = diffusers.DDIMScheduler.from_config(config).alphas_cumprod.numpy()
    np.testing.assert_allclose(alphas_bar(settings("DDIMScheduler", config, {})), want, rtol=2e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("sampler", "steps", "largest"),
    # Ancestral steps take fresh noise each time, so that roundings add up; these differ between processors.
    [("ddim", 1000, 300), ("euler", 1000, 300), ("euler_ancestral", 999, 1500), ("lcm", 1000, 300)],
)
def test_the_most_steps(sampler: str, steps: int, largest: float) -> None:
    case = Case(sampler, {**SDXL, "steps_offset": 0, "original_inference_steps": 1000}, None)
    near(ours(case, steps, 0).samples[-1:], theirs(case, steps, 0).samples[-1:], largest)
