"""safelight_server.samplers against diffusers' schedulers of the same configuration, over whole runs."""

from __future__ import annotations

import inspect
import json
import math
import pickle
from typing import Any, NamedTuple

import diffusers
import numpy as np
import numpy.typing as npt
import pytest
import torch
from safelight_server.noise import draw
from safelight_server.pixels import advance
from safelight_server.samplers import SAMPLERS, check_config, make_schedule, name_of
from safelight_server.scheduler_config import DEFAULTS, settings
from safelight_server.schedules import alphas_bar

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers' own

Floats = npt.NDArray[np.float32]
Config = dict[str, Any]

SHAPE = (1, 4, 8, 8)
SEED = 5
STEPS = (1, 2, 4, 7, 20, 30, 50)

# ---- configurations: files of real checkpoints, and what is changed in them ----

SDXL: Config = {
    "_class_name": "EulerDiscreteScheduler",
    "_diffusers_version": "0.19.0.dev0",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "interpolation_type": "linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "sample_max_value": 1.0,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "trained_betas": None,
    "use_karras_sigmas": False,
}
VEGA_RT: Config = {
    **SDXL,
    "_class_name": "LCMScheduler",
    "clip_sample_range": 1.0,
    "dynamic_thresholding_ratio": 0.995,
    "original_inference_steps": 50,
    "rescale_betas_zero_snr": False,
    "thresholding": False,
    "timestep_scaling": 10.0,
}
ZERO_SNR: Config = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
BETAS = np.linspace(0.0004, 0.03, 1000).tolist()

ANY: dict[str, Config] = {
    "sdxl": {},
    "trailing": {"timestep_spacing": "trailing"},
    "linspace": {"timestep_spacing": "linspace"},
    "no offset": {"steps_offset": 0},
    "v": {"prediction_type": "v_prediction"},
    "sample": {"prediction_type": "sample"},
    "zero snr": ZERO_SNR,
    "zero snr, leading": {**ZERO_SNR, "timestep_spacing": "leading"},
    "linear betas": {"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02},
    "cosine betas": {"beta_schedule": "squaredcos_cap_v2"},
    "cosine betas, v, linspace": {
        "beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction", "timestep_spacing": "linspace"
    },
    "trained betas": {"trained_betas": BETAS},
    "200 timesteps": {"num_train_timesteps": 200, "timestep_spacing": "trailing"},
}  # fmt: skip
KARRAS: dict[str, Config] = {
    "karras": {"use_karras_sigmas": True},
    "karras, linspace": {"use_karras_sigmas": True, "timestep_spacing": "linspace"},
    "karras, trailing": {"use_karras_sigmas": True, "timestep_spacing": "trailing"},
    "karras, v": {"use_karras_sigmas": True, "prediction_type": "v_prediction"},
    "karras, zero snr": {"use_karras_sigmas": True, **ZERO_SNR},
    "karras, cosine": {"use_karras_sigmas": True, "beta_schedule": "squaredcos_cap_v2"},
    "karras, ends given": {"use_karras_sigmas": True, "sigma_min": 0.1, "sigma_max": 10.0},
    "karras, to sigma_min": {"use_karras_sigmas": True, "final_sigmas_type": "sigma_min"},
    "to sigma_min": {"final_sigmas_type": "sigma_min"},
}
OWN: dict[str, dict[str, Config]] = {
    "euler": KARRAS | {
        "log-linear": {"interpolation_type": "log_linear"},
        "log-linear, karras": {"interpolation_type": "log_linear", "use_karras_sigmas": True},
        "continuous": {"timestep_type": "continuous"},
        "cosxl": {
            "timestep_type": "continuous", "prediction_type": "v_prediction", "use_karras_sigmas": True,
            "sigma_min": 0.002, "sigma_max": 120.0, "timestep_spacing": "leading",
        },
    },
    "dpmpp_2m": KARRAS | {
        "heun": {"solver_type": "heun"},
        "heun, karras, v": {"solver_type": "heun", "use_karras_sigmas": True, "prediction_type": "v_prediction"},
        "first order": {"solver_order": 1},
        "no lower order": {"lower_order_final": False},
        "no lower order, to sigma_min": {"lower_order_final": False, "final_sigmas_type": "sigma_min"},
        "euler at the end, to sigma_min": {"euler_at_final": True, "final_sigmas_type": "sigma_min"},
        "clipped lambda": {"beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1},
        "clipped lambda, leading": {
            "beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -3.0, "timestep_spacing": "leading"
        },
    },
    "ddim": {
        "clipped": {"clip_sample": True},
        "clipped at 2, v": {"clip_sample": True, "clip_sample_range": 2.0, "prediction_type": "v_prediction"},
        "clipped, sample": {"clip_sample": True, "prediction_type": "sample"},
        "class defaults": {"clip_sample": None, "_bare": True},
        "alpha to one": {"set_alpha_to_one": True},
        "eta 0.3": {"eta": 0.3},
        "eta 1": {"eta": 1.0, "timestep_spacing": "trailing"},
        "eta 1, clipped": {"eta": 1.0, "clip_sample": True},
        "eta 0.7, zero snr": {"eta": 0.7, **ZERO_SNR},
    },
    "lcm": {
        "clipped": {"clip_sample": True},
        "clipped at 2, v": {"clip_sample": True, "clip_sample_range": 2.0, "prediction_type": "v_prediction"},
        "of 100": {"original_inference_steps": 100},
        "scaling 1": {"timestep_scaling": 1.0},
        "class defaults": {"_bare": True},
    },
}  # fmt: skip


class Case(NamedTuple):
    """One sampler on one configuration; `eta` is DDIM's."""

    sampler: str
    config: Config
    eta: float | None

    def scheduler(self) -> Any:
        return getattr(diffusers, SAMPLERS[self.sampler].scheduler).from_config(self.config)

    def schedule(self, steps: int) -> Any:
        karras = self.config.get("use_karras_sigmas") if self.sampler == "dpmpp_2m" else None
        return make_schedule(self.sampler, self.config, steps, use_karras_sigmas=karras, eta=self.eta)


def cases() -> list[Any]:
    made = []
    for sampler in ("euler", "euler_ancestral", "dpmpp_2m", "ddim", "lcm"):
        for name, changes in (ANY | OWN.get(sampler, {})).items():
            if sampler == "euler_ancestral" and name in ("sample", "cosine betas, v, linspace"):
                continue  # diffusers has not the one, and makes NaN of the other: see the test of it below
            changes = dict(changes)
            eta, bare = changes.pop("eta", None), changes.pop("_bare", False)
            config = {} if bare else {**(VEGA_RT if sampler == "lcm" else SDXL), **changes}
            made.append(pytest.param(Case(sampler, config, eta), id=f"{sampler}: {name}"))
    return made


# ---- runs ----


class Run(NamedTuple):
    samples: list[Floats]
    x0: list[Floats]


def model(scaled: Floats, time: Any) -> Floats:
    """What stands in for a network: smooth, and different at each place and time."""
    place = np.arange(scaled.size, dtype=np.float32).reshape(scaled.shape)
    return np.asarray(0.9 * np.tanh(scaled) + 0.1 * np.sin(float(time) / 100 + place), np.float32)


def clean() -> Floats:
    return np.asarray(np.cos(np.arange(math.prod(SHAPE))).reshape(SHAPE), np.float32)


def theirs(case: Case, steps: int, begin: int) -> Run:
    scheduler, generator = case.scheduler(), torch.Generator().manual_seed(SEED)
    scheduler.set_timesteps(steps)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(begin)
    x = torch.randn(SHAPE, generator=generator)
    x = scheduler.add_noise(torch.from_numpy(clean()), x, scheduler.timesteps[begin : begin + 1]) if begin else (
        x * scheduler.init_noise_sigma
    )  # fmt: skip
    takes = inspect.signature(scheduler.step).parameters
    extra = {key: value for key, value in {"generator": generator, "eta": case.eta or 0.0}.items() if key in takes}
    run = Run([], [])
    for t in scheduler.timesteps[begin:]:
        m = torch.from_numpy(model(scheduler.scale_model_input(x, t).numpy(), t))
        out = scheduler.step(m, t, x, **extra)
        run.x0.append(x0_of(scheduler, out, t, x))
        x = out.prev_sample
        run.samples.append(x.numpy())
    return run


def x0_of(scheduler: Any, out: Any, t: Any, x: Any) -> Floats:
    """The clean estimate, which two do not give: DPM-Solver++ remembers it, and of LCM's `denoised` it is a part."""
    if hasattr(scheduler, "model_outputs"):
        estimate = scheduler.model_outputs[-1]
    elif hasattr(out, "denoised"):
        skip, scale = scheduler.get_scalings_for_boundary_condition_discrete(t)
        estimate = (out.denoised - skip * x) / scale
    else:
        estimate = out.pred_original_sample
    return np.asarray(estimate.numpy(), np.float32)


def ours(case: Case, steps: int, begin: int) -> Run:
    schedule = case.schedule(steps)
    noise, position = draw(SEED, 0, SHAPE)
    a, b = schedule.noising(begin) if begin else (0.0, schedule.init_noise_sigma)
    x, previous, fresh = np.float32(a) * clean() + np.float32(b) * noise, None, None
    run = Run([], [])
    for i in range(begin, len(schedule)):
        if schedule.draws(i):
            fresh, position = draw(SEED, position, SHAPE)
        m = model(x * np.float32(schedule.input_scale(i)), schedule.timesteps[i])
        update = schedule.update(i, previous is None)
        x, previous = advance(x, m, guidance=1.0, rescale=0.0, update=update, previous=previous, noise=fresh)
        run.samples.append(x)
        run.x0.append(previous)
    return run


def near(got: Floats, want: Floats, largest: float = 0.0) -> None:
    """To float32's precision; `largest` is the largest number that was rounded so far: 4096 and more, at zero SNR."""
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5 + 2e-7 * largest)


# ---- whole runs ----


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("case", cases())
def test_a_run_is_that_of_diffusers(case: Case, steps: int) -> None:
    for begin in sorted({0, steps // 3, steps - 1}):
        want, got = theirs(case, steps, begin), ours(case, steps, begin)
        assert len(got.samples) == len(want.samples)
        largest = case.schedule(steps).noising(begin)[1] * 4
        for i in range(len(want.samples)):
            largest = max(largest, *(float(np.abs(array).max()) for array in (want.samples[i], want.x0[i])))
            near(got.samples[i], want.samples[i], largest)
            near(got.x0[i], want.x0[i], largest)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("case", cases())
def test_a_schedule_is_that_of_diffusers(case: Case, steps: int) -> None:
    scheduler, schedule = case.scheduler(), case.schedule(steps)
    scheduler.set_timesteps(steps)
    told, want = schedule.timesteps, scheduler.timesteps.numpy()
    assert told.dtype == want.dtype
    np.testing.assert_allclose(told, want, rtol=3e-7)  # torch's square root is not the nearest everywhere
    np.testing.assert_array_equal(told.astype(np.int64), want.astype(np.int64))
    assert schedule.num_train_timesteps == scheduler.config.num_train_timesteps
    assert schedule.init_noise_sigma == pytest.approx(float(scheduler.init_noise_sigma), rel=1e-6)
    assert schedule.noising(len(schedule)) == (1.0, 0.0)
    sample, noise = torch.from_numpy(clean()), torch.from_numpy(draw(1, 0, SHAPE)[0])
    for i, t in enumerate(scheduler.timesteps):
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(i)  # which of two equal timesteps
        a, b = schedule.noising(i)
        noisy = np.float32(a) * sample.numpy() + np.float32(b) * noise.numpy()
        near(noisy, scheduler.add_noise(sample, noise, t[None]).numpy())


def test_from_much_noise_to_little_in_one_ancestral_step_is_a_number() -> None:
    """diffusers subtracts nearly equal squares in float32 here, and takes the square root of less than 0."""
    case = Case("euler_ancestral", {**SDXL, **ANY["cosine betas, v, linspace"]}, None)
    assert np.isnan(theirs(case, 4, 0).samples[-1]).all()
    assert np.isfinite(ours(case, 4, 0).samples).all()


@pytest.mark.parametrize("name", ANY)
def test_the_table_of_the_training_is_that_of_diffusers(name: str) -> None:
    config = {**SDXL, **ANY[name]}
    want = diffusers.DDIMScheduler.from_config(config).alphas_cumprod.numpy()
    np.testing.assert_allclose(alphas_bar(settings("DDIMScheduler", config, {})), want, rtol=2e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("sampler", "steps"), [("ddim", 1000), ("euler", 1000), ("euler_ancestral", 999), ("lcm", 1000)]
)
def test_the_most_steps(sampler: str, steps: int) -> None:
    case = Case(sampler, {**SDXL, "steps_offset": 0, "original_inference_steps": 1000}, None)
    near(ours(case, steps, 0).samples[-1], theirs(case, steps, 0).samples[-1], 300)


# ---- configurations ----


@pytest.mark.parametrize("scheduler", DEFAULTS)
def test_defaults_are_those_of_diffusers(scheduler: str) -> None:
    parameters = inspect.signature(getattr(diffusers, scheduler)).parameters
    assert DEFAULTS[scheduler] == {name: parameter.default for name, parameter in parameters.items()}


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "euler"),
        ({"use_karras_sigmas": True}, "euler"),
        ({"_class_name": "EulerAncestralDiscreteScheduler"}, "euler_ancestral"),
        ({"_class_name": "DPMSolverMultistepScheduler"}, "dpmpp_2m"),
        ({"_class_name": "DPMSolverMultistepScheduler", "use_karras_sigmas": None}, "dpmpp_2m"),
        ({"_class_name": "DPMSolverMultistepScheduler", "use_karras_sigmas": True}, "dpmpp_2m_karras"),
        ({"_class_name": "DDIMScheduler", "eta": 1.0}, "ddim"),
        (VEGA_RT, "lcm"),
    ],
)
def test_a_file_s_class_has_a_name(changes: Config, name: str) -> None:
    config = json.loads(json.dumps({**SDXL, **changes}))
    check_config(config)
    assert name_of(config) == name


KARRAS_FILE = {**SDXL, "_class_name": "DPMSolverMultistepScheduler", "use_karras_sigmas": True}


@pytest.mark.parametrize(
    ("name", "config", "options", "same_as"),
    [
        ("dpmpp_2m", KARRAS_FILE, {}, ("dpmpp_2m", SDXL, {})),
        ("dpmpp_2m_karras", SDXL, {}, ("dpmpp_2m", SDXL, {"use_karras_sigmas": True})),
        ("euler", SDXL, {"use_karras_sigmas": True}, ("euler", KARRAS_FILE, {})),
        ("euler", SDXL, {"timestep_spacing": "trailing"}, ("euler", {**SDXL, "timestep_spacing": "trailing"}, {})),
        ("ddim", {**SDXL, "eta": 1.0}, {}, ("ddim", SDXL, {"eta": 0.0})),
        ("euler_ancestral", SDXL, {"use_karras_sigmas": False, "eta": 0.0}, ("euler_ancestral", SDXL, {})),
    ],
)
def test_what_wins(name: str, config: Config, options: Config, same_as: tuple[str, Config, Config]) -> None:
    other, its_config, its_options = same_as
    got, want = make_schedule(name, config, 5, **options), make_schedule(other, its_config, 5, **its_options)
    assert (got.updates, got.levels) == (want.updates, want.levels)


def test_a_run_that_would_be_a_step_too_long_is_not() -> None:
    """For 62 of 1000 counts, diffusers' trailing timesteps end with one more: -1, which no network has seen."""
    for steps in (61, 103, 999):
        for name in ("euler", "dpmpp_2m", "ddim"):
            schedule = make_schedule(name, SDXL, steps, timestep_spacing="trailing")
            assert len(schedule) == steps
            assert schedule.timesteps.min() >= 0


def test_a_schedule_is_a_value() -> None:
    schedule = make_schedule("ddim", SDXL, 4, eta=0.5)
    again = pickle.loads(pickle.dumps(schedule))
    assert again.updates == schedule.updates
    np.testing.assert_array_equal(again.timesteps, schedule.timesteps)
    with pytest.raises(ValueError, match="read-only"):
        schedule.timesteps[0] = 0


DPM = {"_class_name": "DPMSolverMultistepScheduler"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"_class_name": "PNDMScheduler"}, "_class_name must be one of EulerDiscreteScheduler, .*not 'PNDMScheduler'"),
        ({"_class_name": None}, "_class_name must be one of .*not None"),
        ({"use_exponential_sigmas": True}, "use_exponential_sigmas must be False or None .*not True"),
        ({"use_beta_sigmas": True}, "use_beta_sigmas must"),
        ({**DPM, "use_lu_lambdas": True}, "use_lu_lambdas must"),
        ({**DPM, "use_flow_sigmas": True}, "use_flow_sigmas must"),
        ({**DPM, "use_dynamic_shifting": True}, "use_dynamic_shifting must"),
        ({**DPM, "thresholding": True}, "thresholding must"),
        ({**VEGA_RT, "thresholding": True}, "thresholding must"),
        ({**DPM, "algorithm_type": "sde-dpmsolver++"}, r"algorithm_type must be 'dpmsolver\+\+' .*'sde-dpmsolver\+\+'"),
        ({**DPM, "solver_order": 3}, "solver_order must be 1 or 2 .*not 3"),
        ({**DPM, "solver_type": "bh2"}, "solver_type must"),
        ({**DPM, "variance_type": "learned_range"}, "variance_type must"),
        ({**DPM, "prediction_type": "flow_prediction"}, "prediction_type must"),
        ({**DPM, "sigma_min": -1.0}, "sigma_min must be a number"),
        ({"_class_name": "EulerAncestralDiscreteScheduler", "prediction_type": "sample"}, "prediction_type must"),
        ({"beta_schedule": "sigmoid"}, "beta_schedule must .*not 'sigmoid'"),
        ({"timestep_spacing": None}, "timestep_spacing must .*not None"),
        ({"interpolation_type": "cubic"}, "interpolation_type must"),
        ({"timestep_type": "odd"}, "timestep_type must"),
        ({"final_sigmas_type": "one"}, "final_sigmas_type must"),
        ({"use_karras_sigmas": "yes"}, "use_karras_sigmas must"),
        ({"num_train_timesteps": 1000.0}, "num_train_timesteps must be an integer in .*not 1000.0"),
        ({"num_train_timesteps": True}, "num_train_timesteps must be an integer"),
        ({"beta_start": "0.1"}, "beta_start must be a number in .*not '0.1'"),
        ({"beta_end": 1.5}, "beta_end must be a number"),
        ({"beta_start": None}, "beta_start must be a number in .*not None"),
        ({"steps_offset": -1}, "steps_offset must be an integer"),
        ({"trained_betas": [0.1, 0.2]}, r"trained_betas must be a list of num_train_timesteps \(1000\) numbers, not 2"),
        ({"trained_betas": "x"}, "trained_betas must"),
        ({"trained_betas": [*BETAS[1:], 1.0]}, r"trained_betas\[999\] must be a number"),
        ({"beta_schedule": "linear", "beta_end": 0.9}, "beta_end, or trained_betas, must leave some of the signal"),
        ({**DPM, "lambda_min_clipped": 3.0}, "lambda_min_clipped must be a number"),
        ({**VEGA_RT, "original_inference_steps": 2000}, "original_inference_steps must be at most"),
        ({**VEGA_RT, "original_inference_steps": 0}, "original_inference_steps must be an integer"),
    ],
)
def test_what_we_do_not_do_is_refused_by_name(changes: Config, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_config({**SDXL, **changes})


@pytest.mark.parametrize(
    ("name", "changes", "steps", "options", "message"),
    [
        ("pndm", {}, 4, {}, "scheduler must be one of euler, .*not 'pndm'"),
        ("euler", {}, 0, {}, "steps must be in 1..1000, not 0"),
        ("euler", {}, 1001, {}, "steps must be in 1..1000, not 1001"),
        ("lcm", {}, 51, {}, r"steps must be at most original_inference_steps \(50\), not 51"),
        ("ddim", {}, 1000, {}, "steps must be fewer than 1000 with steps_offset 1"),
        ("dpmpp_2m", {}, 1000, {}, "steps must be few enough .*not 1000"),
        ("ddim", {}, 4, {"eta": 1.5}, "eta must be a number in 0..1, not 1.5"),
        ("euler", {}, 4, {"eta": 0.5}, "eta must be left out for euler, not 0.5"),
        ("ddim", {}, 4, {"use_karras_sigmas": True}, "use_karras_sigmas must be left out for ddim"),
        ("euler", {}, 4, {"timestep_spacing": "odd"}, "timestep_spacing must be 'leading' or .*not 'odd'"),
        ("euler", {"sigma_min": 20.0}, 4, {"use_karras_sigmas": True}, "sigma_min must be below sigma_max .*not 20"),
        ("ddim", {**ZERO_SNR, "prediction_type": "epsilon"}, 4, {}, "prediction_type must be 'v_prediction'"),
        ("euler_ancestral", {"prediction_type": "sample"}, 4, {}, "prediction_type must be .*not 'sample'"),
    ],
)
def test_bad_runs_are_refused_by_name(name: str, changes: Config, steps: int, options: Config, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_schedule(name, {**SDXL, **changes}, steps, **options)
