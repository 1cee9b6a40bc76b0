"""The settings of each scheduler class of diffusers: its defaults, and the values that samplers here can do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Settings = Mapping[str, Any]

_TRAINING: Settings = {
    "num_train_timesteps": 1000,
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "trained_betas": None,
    "prediction_type": "epsilon",
}
_SPACING: Settings = {"timestep_spacing": "linspace", "steps_offset": 0}
_NOISE: Settings = {**_TRAINING, **_SPACING, "rescale_betas_zero_snr": False}
_MEASURES: Settings = {"use_karras_sigmas": False, "use_exponential_sigmas": False, "use_beta_sigmas": False}
_SIGMAS: Settings = {**_MEASURES, "final_sigmas_type": "zero"}
_THRESHOLDING: Settings = {"thresholding": False, "dynamic_thresholding_ratio": 0.995, "sample_max_value": 1.0}
_FLOW: Settings = {
    "use_flow_sigmas": False,
    "flow_shift": 1.0,
    "use_dynamic_shifting": False,
    "time_shift_type": "exponential",
}
_CLIPPING: Settings = {
    **_THRESHOLDING,
    "timestep_spacing": "leading",
    "clip_sample": True,
    "clip_sample_range": 1.0,
}
_SOLVER: Settings = {
    "solver_order": 2,
    "algorithm_type": "dpmsolver++",
    "solver_type": "midpoint",
    "lower_order_final": True,
}
_SDXL_BETAS: Settings = {"beta_start": 0.00085, "beta_end": 0.012}
_DISTILLED: Settings = {
    **_NOISE,
    **_CLIPPING,
    **_SDXL_BETAS,
    "set_alpha_to_one": True,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "original_inference_steps": 50,
    "timestep_scaling": 10.0,
}
_FROM_K_DIFFUSION: Settings = {**_TRAINING, **_SPACING, **_MEASURES, **_SDXL_BETAS}
_EDM: Settings = {
    "sigma_min": 0.002,
    "sigma_max": 80.0,
    "sigma_data": 0.5,
    "sigma_schedule": "karras",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "rho": 7.0,
    "final_sigmas_type": "zero",
}

# The arguments of each class and their defaults, as of diffusers 0.37, for what a file leaves out. DDIM clips by
# default (clip_sample), unlike the files of SDXL.
DEFAULTS: Mapping[str, Settings] = {
    "EulerDiscreteScheduler": {
        **_NOISE,
        **_SIGMAS,
        "interpolation_type": "linear",
        "sigma_min": None,
        "sigma_max": None,
        "timestep_type": "discrete",
    },
    "EulerAncestralDiscreteScheduler": _NOISE,
    "DPMSolverMultistepScheduler": {
        **_NOISE,
        **_SIGMAS,
        **_SOLVER,
        **_THRESHOLDING,
        **_FLOW,
        "euler_at_final": False,
        "use_lu_lambdas": False,
        "lambda_min_clipped": -math.inf,
        "variance_type": None,
    },
    "DPMSolverSinglestepScheduler": {
        **_TRAINING,
        **_SIGMAS,
        **_SOLVER,
        **_THRESHOLDING,
        **_FLOW,
        "lower_order_final": False,
        "lambda_min_clipped": -math.inf,
        "variance_type": None,
    },
    "DPMSolverSDEScheduler": {**_FROM_K_DIFFUSION, "noise_sampler_seed": None},
    "UniPCMultistepScheduler": {
        **_NOISE,
        **_SIGMAS,
        **_THRESHOLDING,
        **_FLOW,
        "solver_order": 2,
        "solver_type": "bh2",
        "lower_order_final": True,
        "predict_x0": True,
        "disable_corrector": [],
        "solver_p": None,
        "sigma_min": None,
        "sigma_max": None,
        "shift_terminal": None,
    },
    "DEISMultistepScheduler": {
        **_TRAINING,
        **_SPACING,
        **_MEASURES,
        **_SOLVER,
        **_THRESHOLDING,
        **_FLOW,
        "algorithm_type": "deis",
        "solver_type": "logrho",
    },
    "HeunDiscreteScheduler": {**_FROM_K_DIFFUSION, "clip_sample": False, "clip_sample_range": 1.0},
    "KDPM2DiscreteScheduler": _FROM_K_DIFFUSION,
    "KDPM2AncestralDiscreteScheduler": _FROM_K_DIFFUSION,
    "LMSDiscreteScheduler": {**_TRAINING, **_SPACING, **_MEASURES},
    "PNDMScheduler": {
        **_TRAINING,
        **_SPACING,
        "timestep_spacing": "leading",
        "skip_prk_steps": False,
        "set_alpha_to_one": False,
    },
    "DDPMScheduler": {**_NOISE, **_CLIPPING, "variance_type": "fixed_small"},
    "DDIMScheduler": {**_NOISE, **_CLIPPING, "set_alpha_to_one": True},
    "LCMScheduler": _DISTILLED,
    "TCDScheduler": _DISTILLED,
    "EDMEulerScheduler": _EDM,
    "EDMDPMSolverMultistepScheduler": {**_EDM, **_SOLVER, **_THRESHOLDING, "euler_at_final": False},
}

# Also read from a file, though the class has no such arguments: from_config keeps keys that it does not know.
_ENDS: Settings = {"sigma_min": None, "sigma_max": None}
HIDDEN: Mapping[str, Settings] = {
    "DPMSolverMultistepScheduler": _ENDS,
    "DPMSolverSinglestepScheduler": _ENDS,
    "DEISMultistepScheduler": _ENDS,
    "HeunDiscreteScheduler": _ENDS,
    "KDPM2DiscreteScheduler": _ENDS,
    "KDPM2AncestralDiscreteScheduler": _ENDS,
}

# What a class takes the values of others for, as diffusers does, so that it can be chosen for the folder of another.
_MIDPOINT = dict.fromkeys(("logrho", "bh1", "bh2"), "midpoint")
TAKEN_FOR: Mapping[str, Mapping[str, Mapping[Any, Any]]] = {
    "DPMSolverMultistepScheduler": {"solver_type": _MIDPOINT, "algorithm_type": {"deis": "dpmsolver++"}},
    "DPMSolverSinglestepScheduler": {"solver_type": _MIDPOINT, "algorithm_type": {"deis": "dpmsolver++"}},
    "EDMDPMSolverMultistepScheduler": {"solver_type": _MIDPOINT, "algorithm_type": {"deis": "dpmsolver++"}},
    "UniPCMultistepScheduler": {"solver_type": dict.fromkeys(("midpoint", "heun", "logrho"), "bh2")},
    "DEISMultistepScheduler": {
        "solver_type": dict.fromkeys(("midpoint", "heun", "bh1", "bh2"), "logrho"),
        "algorithm_type": dict.fromkeys(("dpmsolver", "dpmsolver++"), "deis"),
    },
}

_SWITCH, _OFF = (True, False, None), (False, None)
CHOICES: Mapping[str, tuple[Any, ...]] = {
    "beta_schedule": ("linear", "scaled_linear", "squaredcos_cap_v2"),
    "rescale_betas_zero_snr": _SWITCH,
    "prediction_type": ("epsilon", "v_prediction", "sample"),
    "timestep_spacing": ("leading", "trailing", "linspace"),
    "timestep_type": ("discrete", "continuous"),
    "interpolation_type": ("linear", "log_linear"),
    "final_sigmas_type": ("zero", "sigma_min"),
    "sigma_schedule": ("karras", "exponential"),
    "use_karras_sigmas": _SWITCH,
    "use_exponential_sigmas": _SWITCH,
    "use_beta_sigmas": _SWITCH,
    "use_lu_lambdas": _SWITCH,
    "use_flow_sigmas": _OFF,
    "use_dynamic_shifting": _OFF,
    "shift_terminal": (None,),
    "thresholding": _OFF,
    "clip_sample": _SWITCH,
    "set_alpha_to_one": _SWITCH,
    "algorithm_type": ("dpmsolver++", "sde-dpmsolver++"),
    "solver_order": (1, 2, 3),
    "solver_type": ("midpoint", "heun"),
    "lower_order_final": _SWITCH,
    "euler_at_final": _SWITCH,
    "predict_x0": (True,),
    "solver_p": (None,),
    "skip_prk_steps": (True,),
    "noise_sampler_seed": (None,),
    "variance_type": (None, "fixed_small", "fixed_small_log", "fixed_large"),
}
_NO_SAMPLE: Mapping[str, tuple[Any, ...]] = {"prediction_type": ("epsilon", "v_prediction")}
CHOICES_OF_CLASS: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "EulerAncestralDiscreteScheduler": _NO_SAMPLE,
    "DPMSolverSDEScheduler": _NO_SAMPLE,
    "DPMSolverSinglestepScheduler": {"algorithm_type": ("dpmsolver++",)},
    "UniPCMultistepScheduler": {"solver_type": ("bh1", "bh2")},
    "DEISMultistepScheduler": {"algorithm_type": ("deis",), "solver_type": ("logrho",)},
    "KDPM2DiscreteScheduler": _NO_SAMPLE,
    "KDPM2AncestralDiscreteScheduler": _NO_SAMPLE,
    "PNDMScheduler": _NO_SAMPLE,
    "EDMEulerScheduler": _NO_SAMPLE,
    "EDMDPMSolverMultistepScheduler": _NO_SAMPLE,
}

TINY = 1e-9
RANGES: Mapping[str, tuple[type, float, float]] = {
    "num_train_timesteps": (int, 2, 1_000_000),
    "beta_start": (float, TINY, 1 - TINY),
    "beta_end": (float, TINY, 1 - TINY),
    "steps_offset": (int, 0, 1000),
    "sigma_min": (float, TINY, 1e6),
    "sigma_max": (float, TINY, 1e6),
    "sigma_data": (float, TINY, 1e6),
    "rho": (float, TINY, 1e6),
    "lambda_min_clipped": (float, -math.inf, 0),
    "clip_sample_range": (float, TINY, math.inf),
    "original_inference_steps": (int, 1, 1_000_000),
    "timestep_scaling": (float, TINY, math.inf),
    "eta": (float, 0, 1),
}
