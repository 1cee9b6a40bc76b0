"""The noise levels of a run: from a training's betas to where each step begins and where it leads.

Sums and roundings follow diffusers, float32 where it has float32: a timestep that is a hair below 1 is told as 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .scheduler_config import Settings

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
RHO = 7.0  # Karras et al. 2022


class Level(NamedTuple):
    """How noisy a sample is: sample = signal * clean + noise * fresh_noise."""

    signal: float
    noise: float


CLEAN = Level(1.0, 0.0)


class Course(NamedTuple):
    """Step i of a run tells the network `timesteps[i]`, begins at `levels[i]` and leads to `targets[i]`."""

    timesteps: npt.NDArray[Any]
    levels: Sequence[Level]
    targets: Sequence[Level]
    init_noise_sigma: float


# ---- noise over the timesteps of the training ----


def alphas_bar(settings: Settings) -> Floats:
    """The share of the signal's variance at each timestep (num_train_timesteps,), falling (Ho et al. 2020)."""
    count = settings["num_train_timesteps"]
    if settings["trained_betas"] is not None:
        betas = np.array(settings["trained_betas"], np.float32)
    else:
        betas = _BETAS[settings["beta_schedule"]](settings["beta_start"], settings["beta_end"], count)
    if settings["rescale_betas_zero_snr"]:
        betas = _without_terminal_signal(betas)
    bar = _products(1 - betas)
    if not bar[-1] and not settings["rescale_betas_zero_snr"]:
        raise ValueError("beta_end, or trained_betas, must leave some of the signal at the last timestep, not 0")
    return bar


def sigma_table(settings: Settings) -> Floats:
    """Noise over signal at each timestep (num_train_timesteps,), rising (Karras et al. 2022)."""
    bar = alphas_bar(settings)
    if settings["rescale_betas_zero_snr"]:
        bar[-1] = 2**-24  # not 0, which would make this infinite
    return np.asarray(np.sqrt((1 - bar) / bar))


def _products(alphas: Floats) -> Floats:
    return np.cumprod(alphas, dtype=np.float64).astype(np.float32)  # torch multiplies in double precision, too


def _linspace(start: float, stop: float, count: int) -> Floats:
    """torch.linspace: from both ends to the middle, each step one fused multiply-add."""
    first, last, index = np.float32(start), np.float32(stop), np.arange(count)
    step = np.float64((last - first) / np.float32(count - 1))
    return np.where(index < count // 2, first + step * index, last - step * (count - 1 - index)).astype(np.float32)


def _cosine_betas(_start: float, _stop: float, count: int) -> Floats:
    """Nichol and Dhariwal 2021."""
    bar = [math.cos((t / count + 0.008) / 1.008 * math.pi / 2) ** 2 for t in range(count + 1)]
    return np.array([min(1 - bar[t + 1] / bar[t], 0.999) for t in range(count)], np.float32)


_BETAS: Mapping[str, Callable[[float, float, int], Floats]] = {
    "linear": _linspace,
    "scaled_linear": lambda start, stop, count: _linspace(start**0.5, stop**0.5, count) ** 2,
    "squaredcos_cap_v2": _cosine_betas,
}


def _without_terminal_signal(betas: Floats) -> Floats:
    """Betas that leave nothing of the signal at the last timestep (Lin et al. 2023, algorithm 1)."""
    root = np.sqrt(_products(1 - betas))
    first, last = root[0], root[-1]
    bar = ((root - last) * (first / (first - last))) ** 2
    return np.asarray(1 - np.concatenate([bar[:1], bar[1:] / bar[:-1]]))


# ---- the timesteps and sigmas of a run ----


def _spaced(settings: Settings, steps: int, points: int, last: int) -> Doubles:
    """Falling timesteps (steps,), before rounding, among `last` of the training's (Lin et al. 2023, table 2)."""
    spacing = settings["timestep_spacing"]
    if spacing == "linspace":
        return np.linspace(0, last - 1, points)[::-1][:steps]
    if spacing == "leading":
        return np.asarray((np.arange(points) * float(last // points))[::-1][:steps] + settings["steps_offset"])
    # Rounding makes this one too long for some counts (61, 103, ...). diffusers then runs a step at timestep -1.
    return np.arange(last, 0, -settings["num_train_timesteps"] / steps).round()[:steps] - 1


def _karras(settings: Settings, first: float, last: float, steps: int) -> Doubles:
    """Sigmas (steps,) that fall evenly in their seventh root (Karras et al. 2022, equation 5)."""
    given = settings["sigma_max"], settings["sigma_min"]
    ends = [default if end is None else end for end, default in zip(given, (first, last), strict=True)]
    if steps > 1 and ends[0] <= ends[1]:
        raise ValueError(f"sigma_min must be below sigma_max ({ends[0]:g}), not {ends[1]:g}")
    high, low = (end ** (1 / RHO) for end in ends)
    return np.asarray((high + np.linspace(0, 1, steps) * (low - high)) ** RHO)


def _times(sigmas: Doubles, table: Floats) -> Doubles:
    """Where in the training the sigmas are, in timesteps, between two of which their logarithm is linear."""
    return np.asarray(np.interp(np.log(sigmas), np.log(table), np.arange(len(table))))


def _at(times: npt.NDArray[Any], table: Floats) -> Doubles:
    return np.asarray(np.interp(times, np.arange(len(table)), table))


def _ended(settings: Settings, sigmas: npt.NDArray[Any], table: Floats) -> Floats:
    last = table[0] if settings.get("final_sigmas_type") == "sigma_min" else np.float32(0)
    return np.append(sigmas, last).astype(np.float32)


# ---- runs ----


def variance_exploding(settings: Settings, steps: int) -> Course:
    """For EulerDiscreteScheduler and EulerAncestralDiscreteScheduler: the signal stays as it is, noise is added."""
    table = sigma_table(settings)
    times = _spaced(settings, steps, steps, settings["num_train_timesteps"]).astype(np.float32)
    sigmas = _at(times, table)
    if settings.get("interpolation_type") == "log_linear":
        sigmas = np.exp(_linspace(np.log(table[-1]), np.log(table[0]), steps + 1)).astype(np.float64)
    if settings.get("use_karras_sigmas"):
        sigmas = _karras(settings, float(sigmas[0]), float(sigmas[-1]), steps)
        times = _times(sigmas, table).astype(np.float32)
    ended = _ended(settings, sigmas, table)
    if settings.get("timestep_type") == "continuous" and settings["prediction_type"] == "v_prediction":
        times = np.float32(0.25) * np.log(ended[:steps])
    levels = [Level(1.0, float(sigma)) for sigma in ended]
    largest = float(ended.max())
    init = math.hypot(1, largest) if settings["timestep_spacing"] == "leading" else largest
    return Course(times, levels[:steps], levels[1 : steps + 1], init)


def variance_preserving(settings: Settings, steps: int) -> Course:
    """For DPMSolverMultistepScheduler: the same sigmas, but the squares of signal and noise add to 1."""
    table = sigma_table(settings)
    # lambda, the logarithm of signal over noise, is cut off below where a schedule asks for it, as cosine ones do.
    cut = int(np.searchsorted(-np.log(table[::-1]), settings["lambda_min_clipped"]))
    spaced = _spaced(settings, steps, steps + 1, settings["num_train_timesteps"] - cut).round()
    times, sigmas = spaced, _at(spaced, table)
    if settings["use_karras_sigmas"]:
        sigmas = _karras(settings, float(table[-1]), float(table[0]), steps)
        times = _times(sigmas, table)
        times = times if settings["beta_schedule"] == "squaredcos_cap_v2" else times.round()
    ended = _ended(settings, sigmas, table).astype(np.float64)
    scales = np.hypot(1, ended)
    levels = [Level(float(1 / scale), float(sigma / scale)) for sigma, scale in zip(ended, scales, strict=True)]
    return Course(times.astype(np.int64), levels[:-1], levels[1:], 1.0)


def implicit(settings: Settings, steps: int) -> Course:
    """For DDIMScheduler: each step leads a fixed number of timesteps down, wherever the next one begins."""
    bar, train = alphas_bar(settings), settings["num_train_timesteps"]
    times = _spaced(settings, steps, steps, train).round().astype(np.int64)
    if times[0] >= train:
        raise ValueError(f"steps must be fewer than {steps} with steps_offset {settings['steps_offset']}")
    final = 1.0 if settings["set_alpha_to_one"] else float(bar[0])
    down = times - train // steps
    targets = [_level(float(bar[time]) if time >= 0 else final) for time in down]
    return Course(times, [_level(float(bar[time])) for time in times], targets, 1.0)


def consistency(settings: Settings, steps: int) -> Course:
    """For LCMScheduler: timesteps taken evenly from those of the distillation, whatever timestep_spacing says."""
    bar, train, distilled = alphas_bar(settings), settings["num_train_timesteps"], settings["original_inference_steps"]
    if distilled > train:
        raise ValueError(f"original_inference_steps must be at most num_train_timesteps ({train}), not {distilled}")
    if steps > distilled:
        raise ValueError(f"steps must be at most original_inference_steps ({distilled}), not {steps}")
    every = np.arange(distilled, 0, -1) * (train // distilled) - 1
    times = every[np.floor(np.linspace(0, distilled, steps, endpoint=False)).astype(np.int64)]
    levels = [_level(float(bar[time])) for time in times]
    return Course(times, levels, [*levels[1:], CLEAN], 1.0)


def _level(bar: float) -> Level:
    return Level(math.sqrt(bar), math.sqrt(1 - bar))
