"""Scheduler configurations, and runs by our samplers and by the schedulers of diffusers on each of them."""

from __future__ import annotations

import importlib
import inspect
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any, NamedTuple

import diffusers
import numpy as np
import numpy.typing as npt
import pytest
import torch
from safelight_server.samplers.catalogue import BASES
from safelight_server.samplers.moves import advance
from safelight_server.samplers.noise import randn
from safelight_server.samplers.prediction import X0
from safelight_server.samplers.table import SAMPLERS, Schedule, make_schedule

from support.scheduler_configs import SDXL, VEGA_RT, ZERO_SNR, Config

Floats = npt.NDArray[np.float32]

SHAPE = (1, 4, 8, 8)
SEED = 5
# (steps, the step that a job begins at): at the first, on the way, at the last. 7 does not divide the timesteps of a
# training; from 15 on, DPM-Solver++ ends otherwise.
RUNS = ((1, 0), (2, 0), (2, 1), (4, 0), (4, 1), (4, 3), (7, 0), (7, 6), (7, 2), (20, 19), (20, 0), (20, 6), (50, 0))

# ---- configurations: what is changed in the files of real checkpoints ----

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
EXPONENTIAL: dict[str, Config] = {
    "exponential": {"use_exponential_sigmas": True},
    "exponential, trailing, v": {
        "use_exponential_sigmas": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"
    },
}  # fmt: skip
BETA: dict[str, Config] = {"beta": {"use_beta_sigmas": True}}
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
    "tcd": {"eta 0": {"eta": 0.0}, "eta 1": {"eta": 1.0}, "of 100": {"original_inference_steps": 100}},
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

OWN["euler"] |= EXPONENTIAL | BETA
OWN["dpmpp_2m"] |= EXPONENTIAL | BETA | {
    "third order": {"solver_order": 3},
    "third order, karras, v": {"solver_order": 3, "use_karras_sigmas": True, "prediction_type": "v_prediction"},
    "third order, no lower order, to sigma_min": {
        "solver_order": 3, "lower_order_final": False, "final_sigmas_type": "sigma_min"
    },
    "lu": {"use_lu_lambdas": True},
    "lu, cosine": {"use_lu_lambdas": True, "beta_schedule": "squaredcos_cap_v2"},
    "taken for midpoint": {"solver_type": "bh2"},
}  # fmt: skip
OWN["dpmpp_2m_sde"] = {name: changes for name, changes in OWN["dpmpp_2m"].items() if "third" not in name}
SPACED = {
    "karras": KARRAS["karras"],
    "karras, cosine": KARRAS["karras, cosine"],
    "exponential, trailing, v": EXPONENTIAL["exponential, trailing, v"],
    "beta": BETA["beta"],
}
ENDS = {"karras, ends given": KARRAS["karras, ends given"]}
TO_SIGMA_MIN = {name: KARRAS[name] for name in ("karras, to sigma_min", "to sigma_min")}
THIRD: dict[str, Config] = {
    "first order": {"solver_order": 1},
    "third order": {"solver_order": 3},
    "third order, no lower order": {  # diffusers can't be without where it ends with no noise
        "solver_order": 3, "lower_order_final": False, "final_sigmas_type": "sigma_min"
    },
}  # fmt: skip
OWN |= {
    "dpmpp_sde": SPACED,
    "heun": SPACED | ENDS | {
        "clipped at 2": {"clip_sample": True, "clip_sample_range": 2.0},
        "sample": {"prediction_type": "sample"},
    },
    "kdpm2": SPACED | ENDS,
    "kdpm2_ancestral": SPACED | ENDS,
    "lms": SPACED | {"sample": {"prediction_type": "sample"}},
    "deis": SPACED | ENDS | THIRD | {"sample": {"prediction_type": "sample"}},
    "unipc": SPACED | ENDS | TO_SIGMA_MIN | THIRD | {
        "zero snr": ZERO_SNR,
        "bh1": {"solver_type": "bh1", "final_sigmas_type": "sigma_min"},  # else diffusers has NaN
        "bh1, third order, v": {
            "solver_type": "bh1", "solver_order": 3, "prediction_type": "v_prediction", "final_sigmas_type": "sigma_min"
        },
        "corrector disabled": {"disable_corrector": [0, 3]},
    },
    "dpmpp_2s": SPACED | ENDS | TO_SIGMA_MIN | THIRD | {
        "heun": {"solver_type": "heun"},
        "heun, third order, to sigma_min": {
            "solver_type": "heun", "solver_order": 3, "final_sigmas_type": "sigma_min", "lower_order_final": True
        },
        "clipped lambda": {"beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1},
    },
    "pndm": {"alpha to one": {"set_alpha_to_one": True}},
    "ddpm": {
        "zero snr": ZERO_SNR,
        "clipped": {"clip_sample": True},
        "large": {"variance_type": "fixed_large"},
        "small, by its logarithm": {"variance_type": "fixed_small_log", "prediction_type": "sample"},
    },
}  # fmt: skip
EDM: dict[str, Config] = {
    "class defaults": {},
    "exponential": {"sigma_schedule": "exponential"},
    "v": {"prediction_type": "v_prediction"},
    "ends": {"sigma_min": 0.02, "sigma_max": 20.0, "rho": 5.0, "sigma_data": 1.0},
    "to sigma_min": {"final_sigmas_type": "sigma_min"},
}
OWN["edm_euler"] = EDM
OWN["edm_dpmpp_2m"] = EDM | {
    "heun": {"solver_type": "heun"},
    "third order": {"solver_order": 3},
}
OWN["edm_dpmpp_2m_sde"] = EDM
ALWAYS: dict[str, Config] = {  # what a name stands for
    "dpmpp_2m_sde": {"algorithm_type": "sde-dpmsolver++"},
    "edm_dpmpp_2m_sde": {"algorithm_type": "sde-dpmsolver++"},
    "pndm": {"skip_prk_steps": True},
}
WHOLE = ("euler", "euler_ancestral", "dpmpp_2m", "dpmpp_2m_sde", "ddim", "lcm", "tcd")  # on each configuration of ANY
FEW = ("sdxl", "trailing")  # those whose classes are slow
MOST = ("sdxl", "trailing", "linspace", "v", "cosine betas", "trained betas", "200 timesteps")  # the others on these
EXACT = ("dpmpp_2m_sde", "dpmpp_sde", "deis")  # held against weights in double precision: in float32, they lose much
CONFIGURED: dict[str, Sequence[str]] = {
    **dict.fromkeys(("lms", "kdpm2", "kdpm2_ancestral"), FEW),
    **dict.fromkeys(("edm_euler", "edm_dpmpp_2m", "edm_dpmpp_2m_sde"), ()),
}
# Where roundings add up: of noise, of sigmas that rise again and again, and of EDM's sigmas, which are float32 powers.
ROUGH = {"dpmpp_sde": 4.0, "kdpm2": 4.0, "kdpm2_ancestral": 4.0, "edm_dpmpp_2m_sde": 4.0}
SPACINGS = {"use_karras_sigmas": "karras", "use_exponential_sigmas": "exponential", "use_beta_sigmas": "beta"}


@dataclass(frozen=True)
class Case:
    """One sampler on one configuration; `eta` is DDIM's and TCD's."""

    sampler: str
    config: Config
    eta: float | None

    @cached_property
    def scheduler(self) -> Any:
        """Of diffusers; set_timesteps begins it anew, but for the changes that one class makes to its configuration."""
        return class_of(SAMPLERS[self.sampler].scheduler).from_config(self.config)

    @cached_property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """Which of RUNS: all on SDXL's own configuration, and of the samplers that most folders name."""
        return RUNS if self.config == SDXL or self.sampler in WHOLE else RUNS[::2]

    def schedule(self, steps: int) -> Schedule:
        if steps not in self._schedules:
            self._schedules[steps] = self._made(steps)
        return self._schedules[steps]

    @cached_property
    def _schedules(self) -> dict[int, Schedule]:
        return {}

    def _made(self, steps: int) -> Schedule:
        asked = [key for key in SPACINGS if self.config.get(key)] if self.sampler != "euler" else []
        if asked == ["use_karras_sigmas"]:  # as an option, which is another way to say it
            return make_schedule(self.sampler, self.config, steps, use_karras_sigmas=True, eta=self.eta)
        return make_schedule(
            "_".join([self.sampler, *(SPACINGS[key] for key in asked)]), self.config, steps, eta=self.eta
        )


def class_of(scheduler: str) -> Any:
    """A class of diffusers. One needs torchsde for its noise alone: see `theirs`."""
    if scheduler == "DPMSolverSDEScheduler":
        sys.modules.setdefault("torchsde", ModuleType("torchsde"))
        return importlib.import_module("diffusers.schedulers.scheduling_dpmsolver_sde").DPMSolverSDEScheduler
    return getattr(diffusers, scheduler)


def cases() -> list[Any]:
    made = []
    for sampler in BASES:
        common = {name: ANY[name] for name in CONFIGURED.get(sampler, ANY if sampler in WHOLE else MOST)}
        for name, changes in (common | OWN.get(sampler, {})).items():
            if sampler == "euler_ancestral" and name in ("sample", "cosine betas, v, linspace"):
                continue  # diffusers lacks the first, and makes NaN of the second: test_table.py has a test of that
            changes = dict(changes)
            eta = changes.pop("eta", None)
            if "_bare" in changes or sampler.startswith("edm"):
                base, changes = {}, {} if "_bare" in changes else changes
            else:
                base = VEGA_RT if sampler in ("lcm", "tcd") else SDXL
            config = {**base, **changes, **ALWAYS.get(sampler, {})}
            eta = 0.3 if sampler == "tcd" and eta is None else eta
            made.append(pytest.param(Case(sampler, config, eta), id=f"{sampler}: {name}"))
    return made


# ---- runs ----


class Run(NamedTuple):
    """After each step: the sample, and the estimate of the clean one. Of ours, also the largest term of the sums."""

    samples: list[Floats]
    x0: list[Floats]
    largest: list[float]


def model(scaled: Floats, time: Any) -> Floats:
    """What stands in for a network: smooth, and different at each place and time."""
    place = np.arange(scaled.size, dtype=np.float32).reshape(scaled.shape)
    return np.asarray(0.9 * np.tanh(scaled) + 0.1 * np.sin(float(time) / 100 + place), np.float32)


def clean() -> Floats:
    return np.asarray(np.cos(np.arange(math.prod(SHAPE))).reshape(SHAPE), np.float32)


def theirs(case: Case, steps: int, begin: int) -> Run:
    scheduler, generator = case.scheduler, torch.Generator().manual_seed(SEED)
    if case.sampler == "dpmpp_2s":
        scheduler.register_to_config(lower_order_final=case.config.get("lower_order_final", False))
    scheduler.set_timesteps(steps)
    if case.sampler in EXACT:
        scheduler.sigmas = scheduler.sigmas.double()
    first = begin * scheduler.order
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    x = torch.randn(SHAPE, generator=generator)
    x = scheduler.add_noise(torch.from_numpy(clean()), x, scheduler.timesteps[first : first + 1]) if begin else (
        x * scheduler.init_noise_sigma
    )  # fmt: skip
    takes = inspect.signature(scheduler.step).parameters
    extra = {key: value for key, value in {"generator": generator, "eta": case.eta or 0.0}.items() if key in takes}
    # Where diffusers takes the increments of a Brownian tree, of torchsde, our noise is that of a generator.
    scheduler.noise_sampler = lambda high, low: torch.randn(SHAPE, generator=generator)
    run = Run([], [], [])
    for t in scheduler.timesteps[first:]:
        m = torch.from_numpy(model(scheduler.scale_model_input(x, t).numpy(), t))
        if "order" in takes:  # else LMS begins on the way with the weights of four derivatives, and has but one
            extra["order"] = min(4, len(run.x0) + 1)
        out = scheduler.step(m, t, x, **extra)
        run.x0.append(x0_of(scheduler, out, t, x, m))
        x = out.prev_sample
        run.samples.append(x.numpy())
    return run


def x0_of(scheduler: Any, out: Any, t: Any, x: Any, m: Any) -> Floats:
    """The clean estimate. Not all schedulers give it: DPM-Solver++ keeps it, LCM's `denoised` is made of it."""
    if isinstance(scheduler, diffusers.DEISMultistepScheduler):
        signal, noise = scheduler._sigma_to_alpha_sigma_t(scheduler.sigmas[scheduler.step_index - 1])
        estimate = (x - noise * scheduler.model_outputs[-1]) / signal
    elif hasattr(scheduler, "model_outputs"):
        estimate = scheduler.model_outputs[-1]
    elif hasattr(out, "denoised"):
        skip, scale = scheduler.get_scalings_for_boundary_condition_discrete(t)
        estimate = (out.denoised - skip * x) / scale
    elif hasattr(out, "pred_original_sample"):
        estimate = out.pred_original_sample
    else:
        bar = scheduler.alphas_cumprod[t]
        a, b = X0[scheduler.config.prediction_type](float(bar) ** 0.5, float(1 - bar) ** 0.5)
        estimate = a * x + b * m  # TCD and PNDM tell nothing of it
    return np.asarray(estimate.numpy(), np.float32)


def ours(case: Case, steps: int, begin: int) -> Run:
    schedule = case.schedule(steps)
    noise, position = randn(SEED, 0, SHAPE)
    first = schedule.starts[begin]
    a, b = schedule.noising(first) if begin else (0.0, schedule.init_noise_sigma)
    x, history, fresh = np.float32(a) * clean() + np.float32(b) * noise, None, None
    run = Run([], [], [])
    for i in range(first, len(schedule)):
        if schedule.uses_noise(i):
            fresh, position = randn(SEED, position, SHAPE)
        m = model(x * np.float32(schedule.input_scale(i)), schedule.timesteps[i])
        move = schedule.move(i, 0 if history is None else len(history))
        weights, was = move.update, x
        x, x0, history = advance(move, x, m, history, fresh, guidance=1.0, rescale=0.0)
        run.samples.append(x)
        run.x0.append(x0)
        of_sample = max(1.0, abs(weights.sample), abs(weights.x0_sample))
        terms = of_sample * abs(was).max(), max(1.0, abs(weights.denoised)) * abs(x0).max()
        run.largest.append(max(*terms, 5 * abs(weights.noise)))  # noise is torch's to within 1e-6
    return run


def near(got: Sequence[Floats], want: Sequence[Floats], largest: npt.ArrayLike = 0.0, said: object = "") -> None:
    """Arrays of SHAPE, one a step, to float32's precision.

    `largest`: the largest number that was rounded so far, of each step or of all; 4096 and more, at zero SNR.
    """
    wanted = np.stack(want)
    far = np.abs(np.stack(got) - wanted)
    slack = 1e-5 + 2e-7 * np.reshape(np.asarray(largest), (-1, 1, 1, 1, 1))
    assert (far <= slack + 1e-5 * np.abs(wanted)).all(), f"{said}: off by up to {far.max()}"
