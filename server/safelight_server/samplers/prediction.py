"""The clean latents (x0) and the noise, from what the network predicts and the sample that it saw."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from .noise_levels import Level
from .scheduler_classes import Settings

Weights = tuple[float, float]  # of the sample, and of the network's output (in steps: of x0)

X0: Mapping[str, Callable[[float, float], Weights]] = {
    "epsilon": lambda signal, noise: (1 / signal, -noise / signal),
    # Salimans and Ho 2022; their samples have a variance of 1, ours of signal² + noise².
    "v_prediction": lambda signal, noise: (signal / (signal**2 + noise**2), -noise / math.hypot(signal, noise)),
    "sample": lambda signal, noise: (0.0, 1.0),
}
NOISE: Mapping[str, Callable[[float, float], Weights]] = {  # only for levels where signal² + noise² is 1
    "epsilon": lambda signal, noise: (0.0, 1.0),
    "v_prediction": lambda signal, noise: (noise, signal),
    "sample": lambda signal, noise: (1 / noise, -signal / noise),
}


def x0(s: Settings, level: Level) -> Weights:
    """The weights of the sample and of the output in x0. ValueError for a prediction that says nothing of it there."""
    prediction = s["prediction_type"]
    if "sigma_data" in s:
        return _preconditioned(level.noise, s["sigma_data"], -1 if prediction == "v_prediction" else 1)
    if prediction == "epsilon" and level.signal == 0:
        raise ValueError(
            "prediction_type must be 'v_prediction' or 'sample' for a step without signal, which "
            "rescale_betas_zero_snr makes, not 'epsilon'"
        )
    return X0[prediction](*level)


def _preconditioned(sigma: float, data: float, sign: int) -> Weights:
    """c_skip and c_out of Karras et al. 2022, table 1; `data` is the standard deviation of clean latents."""
    return data**2 / (sigma**2 + data**2), sign * sigma * data / math.hypot(sigma, data)


def clip(s: Settings) -> float | None:
    """How far x0 may be from 0; None: it may be anything."""
    return float(s["clip_sample_range"]) if s.get("clip_sample") else None


def input_scale(s: Settings, level: Level) -> float:
    """What a sample is multiplied by to be the network's input: this makes its variance about 1."""
    return 1 / math.hypot(level.signal * s.get("sigma_data", 1.0), level.noise)


def straight(now: Level, then: Level) -> Weights:
    """The weights of the sample and of x0 in a step that keeps the predicted noise.

    That is Euler's step, and the first order of DPM-Solver++.
    """
    ratio = then.noise / now.noise
    return ratio, then.signal - now.signal * ratio
