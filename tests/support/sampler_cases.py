"""Configurations of real checkpoints, and runs of ours and of diffusers' schedulers on them."""

from __future__ import annotations

import inspect
import math
from typing import Any, NamedTuple

import diffusers
import numpy as np
import numpy.typing as npt
import pytest
import torch
from safelight_server.pixels.kernels import advance
from safelight_server.samplers.noise import randn
from safelight_server.samplers.table import SAMPLERS, make_schedule

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
    noise, position = randn(SEED, 0, SHAPE)
    a, b = schedule.noising(begin) if begin else (0.0, schedule.init_noise_sigma)
    x, previous, fresh = np.float32(a) * clean() + np.float32(b) * noise, None, None
    run = Run([], [])
    for i in range(begin, len(schedule)):
        if schedule.uses_noise(i):
            fresh, position = randn(SEED, position, SHAPE)
        m = model(x * np.float32(schedule.input_scale(i)), schedule.timesteps[i])
        update = schedule.update(i, previous is None)
        x, previous = advance(x, m, guidance=1.0, rescale=0.0, update=update, previous=previous, noise=fresh)
        run.samples.append(x)
        run.x0.append(previous)
    return run


def near(got: Floats, want: Floats, largest: float = 0.0) -> None:
    """To float32's precision; `largest` is the largest number that was rounded so far: 4096 and more, at zero SNR."""
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5 + 2e-7 * largest)
