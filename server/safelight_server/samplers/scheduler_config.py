"""What a scheduler_config.json means to each scheduler class of diffusers, and which of its values are refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Settings = Mapping[str, Any]

_NOISE: Settings = {
    "num_train_timesteps": 1000,
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "trained_betas": None,
    "rescale_betas_zero_snr": False,
    "prediction_type": "epsilon",
    "timestep_spacing": "linspace",
    "steps_offset": 0,
}
_SIGMAS: Settings = {
    "use_karras_sigmas": False,
    "use_exponential_sigmas": False,
    "use_beta_sigmas": False,
    "final_sigmas_type": "zero",
}
_CLIPPING: Settings = {
    "timestep_spacing": "leading",
    "clip_sample": True,
    "clip_sample_range": 1.0,
    "set_alpha_to_one": True,
    "thresholding": False,
    "dynamic_thresholding_ratio": 0.995,
    "sample_max_value": 1.0,
}

_DISTILLED: Settings = {
    **_NOISE,
    **_CLIPPING,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "original_inference_steps": 50,
    "timestep_scaling": 10.0,
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
        "solver_order": 2,
        "algorithm_type": "dpmsolver++",
        "solver_type": "midpoint",
        "lower_order_final": True,
        "euler_at_final": False,
        "use_lu_lambdas": False,
        "use_flow_sigmas": False,
        "flow_shift": 1.0,
        "lambda_min_clipped": -math.inf,
        "variance_type": None,
        "thresholding": False,
        "dynamic_thresholding_ratio": 0.995,
        "sample_max_value": 1.0,
        "use_dynamic_shifting": False,
        "time_shift_type": "exponential",
    },
    "DDIMScheduler": {**_NOISE, **_CLIPPING},
    "LCMScheduler": _DISTILLED,
    "TCDScheduler": _DISTILLED,
}

# Also read from a file, though the class has no such arguments: from_config keeps keys that it does not know.
HIDDEN: Mapping[str, Settings] = {"DPMSolverMultistepScheduler": {"sigma_min": None, "sigma_max": None}}

_SWITCH, _OFF = (True, False, None), (False, None)
CHOICES: Mapping[str, tuple[Any, ...]] = {
    "beta_schedule": ("linear", "scaled_linear", "squaredcos_cap_v2"),
    "rescale_betas_zero_snr": _SWITCH,
    "prediction_type": ("epsilon", "v_prediction", "sample"),
    "timestep_spacing": ("leading", "trailing", "linspace"),
    "timestep_type": ("discrete", "continuous"),
    "interpolation_type": ("linear", "log_linear"),
    "final_sigmas_type": ("zero", "sigma_min"),
    "use_karras_sigmas": _SWITCH,
    "use_exponential_sigmas": _SWITCH,
    "use_beta_sigmas": _OFF,
    "use_lu_lambdas": _OFF,
    "use_flow_sigmas": _OFF,
    "use_dynamic_shifting": _OFF,
    "thresholding": _OFF,
    "clip_sample": _SWITCH,
    "set_alpha_to_one": _SWITCH,
    "algorithm_type": ("dpmsolver++", "sde-dpmsolver++"),
    "solver_order": (1, 2),
    "solver_type": ("midpoint", "heun"),
    "lower_order_final": _SWITCH,
    "euler_at_final": _SWITCH,
    "variance_type": (None,),
}
_CHOICES_OF_CLASS: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "EulerAncestralDiscreteScheduler": {"prediction_type": ("epsilon", "v_prediction")},
}

_TINY = 1e-9
RANGES: Mapping[str, tuple[type, float, float]] = {
    "num_train_timesteps": (int, 2, 1_000_000),
    "beta_start": (float, _TINY, 1 - _TINY),
    "beta_end": (float, _TINY, 1 - _TINY),
    "steps_offset": (int, 0, 1000),
    "sigma_min": (float, _TINY, 1e6),
    "sigma_max": (float, _TINY, 1e6),
    "lambda_min_clipped": (float, -math.inf, 0),
    "clip_sample_range": (float, _TINY, math.inf),
    "original_inference_steps": (int, 1, 1_000_000),
    "timestep_scaling": (float, _TINY, math.inf),
    "eta": (float, 0, 1),
}


def settings(scheduler: str, config: Mapping[str, Any], changes: Settings) -> Settings:
    """All settings of a class (a key of DEFAULTS), checked.

    `changes` win over `config`, the values of a file, and these over the defaults. ValueError names the key, the rule
    and the value.
    """
    known = {**DEFAULTS[scheduler], **HIDDEN.get(scheduler, {})}
    merged = {**known, **{key: config[key] for key in known if key in config}, **changes}
    choices = {**CHOICES, **_CHOICES_OF_CLASS.get(scheduler, {})}
    for key, value in merged.items():
        if key in choices and value not in choices[key]:
            rule = " or ".join(repr(choice) for choice in choices[key])
            raise ValueError(f"{key} must be {rule} for {scheduler}, not {value!r}")
        if key in RANGES and not (value is None and known.get(key, 0) is None):
            _check_number(key, value, *RANGES[key])
    if merged.get("use_karras_sigmas") and merged.get("use_exponential_sigmas"):
        raise ValueError("use_karras_sigmas must be False where use_exponential_sigmas is True, not True")
    _check_betas(merged["trained_betas"], merged["num_train_timesteps"])
    return merged


def _check_number(key: str, value: Any, number: type, low: float, high: float) -> None:
    types = (int,) if number is int else (int, float)
    if not isinstance(value, types) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(
            f"{key} must be {'an integer' if number is int else 'a number'} in {low:g}..{high:g}, not {value!r}"
        )


def _check_betas(betas: Any, count: int) -> None:
    if betas is None:
        return
    if not isinstance(betas, list) or len(betas) != count:
        held = len(betas) if isinstance(betas, list) else repr(betas)
        raise ValueError(f"trained_betas must be a list of num_train_timesteps ({count}) numbers, not {held}")
    for index, beta in enumerate(betas):
        _check_number(f"trained_betas[{index}]", beta, float, _TINY, 1 - _TINY)
