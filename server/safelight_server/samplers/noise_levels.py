"""The noise levels of a run: from the betas of a training to where each step begins and where it leads.

The order of sums and the roundings are those of diffusers, with float32 where it has float32. They show: a timestep
that comes out a hair below 1 reaches the network as 0.
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
    """How noisy a sample is: sample = signal * clean + noise * n, where n is normal noise of variance 1."""

    signal: float
    noise: float


CLEAN = Level(1.0, 0.0)


class NoiseLevels(NamedTuple):
    """A run of n steps: step i tells the network `timesteps[i]`, begins at `before[i]` and leads to `after[i]`."""

    timesteps: npt.NDArray[Any]  # (n,), float32 or int64, falling
    before: Sequence[Level]  # n
    after: Sequence[Level]  # n; not always the next step's `before`: see `implicit`
    init_noise_sigma: float  # normal noise times this is the sample before step 0


# ---- noise over the timesteps of the training ----


def alphas_bar(settings: Settings) -> Floats:
    """The share of the signal's variance at each timestep (num_train_timesteps,), falling (Ho et al. 2020).

    ValueError for betas that leave no signal at the last timestep, unless rescale_betas_zero_snr asks for that.
    """
    count = settings["num_train_timesteps"]
    if settings["trained_betas"] is not None:
        betas = np.array(settings["trained_betas"], np.float32)
    else:
        betas = _BETAS[settings["beta_schedule"]](settings["beta_start"], settings["beta_end"], count)
    if settings["rescale_betas_zero_snr"]:
        betas = _remove_terminal_signal(betas)
    bar = _cumulative_products(1 - betas)
    if not bar[-1] and not settings["rescale_betas_zero_snr"]:
        raise ValueError("beta_end, or trained_betas, must leave some of the signal at the last timestep, not 0")
    return bar


def sigma_table(settings: Settings) -> Floats:
    """Noise over signal at each timestep (num_train_timesteps,), rising (Karras et al. 2022).

    ValueError where alphas_bar raises it.
    """
    bar = alphas_bar(settings)
    if settings["rescale_betas_zero_snr"]:
        bar[-1] = 2**-24  # not 0, which would make this infinite
    return np.asarray(np.sqrt((1 - bar) / bar))


def _cumulative_products(alphas: Floats) -> Floats:
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


def _remove_terminal_signal(betas: Floats) -> Floats:
    """Betas that leave nothing of the signal at the last timestep (Lin et al. 2023, algorithm 1)."""
    root = np.sqrt(_cumulative_products(1 - betas))
    first, last = root[0], root[-1]
    bar = ((root - last) * (first / (first - last))) ** 2
    return np.asarray(1 - np.concatenate([bar[:1], bar[1:] / bar[:-1]]))


# ---- the timesteps and sigmas of a run ----


def _timesteps(settings: Settings, steps: int, points: int, last: int) -> Doubles:
    """Falling timesteps (steps,), not rounded yet, from the first `last` of the training's (Lin et al. 2023, table 2).

    "linspace" and "leading" space `points` timesteps and take the first `steps` of them.
    """
    spacing = settings["timestep_spacing"]
    if spacing == "linspace":
        return np.linspace(0, last - 1, points)[::-1][:steps]
    if spacing == "leading":
        return np.asarray((np.arange(points) * float(last // points))[::-1][:steps] + settings["steps_offset"])
    # Rounding makes this one too long for some counts (61, 103, ...). diffusers then runs a step at timestep -1.
    return np.arange(last, 0, -settings["num_train_timesteps"] / steps).round()[:steps] - 1


def _spaced_sigmas(settings: Settings, first: float, last: float, steps: int) -> Doubles:
    """Sigmas (steps,) whose seventh roots fall evenly (Karras et al. 2022, equation 5), or whose logarithms do.

    They go from sigma_max to sigma_min; where the settings leave these out, from `first` to `last`.
    """
    given = settings["sigma_max"], settings["sigma_min"]
    ends = [default if end is None else end for end, default in zip(given, (first, last), strict=True)]
    if steps > 1 and ends[0] <= ends[1]:
        raise ValueError(f"sigma_min must be below sigma_max ({ends[0]:g}), not {ends[1]:g}")
    if settings["use_exponential_sigmas"]:
        return np.exp(np.linspace(math.log(ends[0]), math.log(ends[1]), steps))
    high, low = (end ** (1 / RHO) for end in ends)
    return np.asarray((high + np.linspace(0, 1, steps) * (low - high)) ** RHO)


def _is_spaced(settings: Settings) -> bool:
    return bool(settings.get("use_karras_sigmas") or settings.get("use_exponential_sigmas"))


def _timesteps_of(sigmas: Doubles, table: Floats) -> Doubles:
    """The timesteps of the training that have these sigmas, in fractions: log(sigma) is linear between two of them."""
    return np.asarray(np.interp(np.log(sigmas), np.log(table), np.arange(len(table))))


def _sigmas_at(timesteps: npt.NDArray[Any], table: Floats) -> Doubles:
    return np.asarray(np.interp(timesteps, np.arange(len(table)), table))


def _append_last_sigma(settings: Settings, sigmas: npt.NDArray[Any], table: Floats) -> Floats:
    """The sigmas (n,), and the one that the last step leads to: (n + 1,)."""
    last = table[0] if settings.get("final_sigmas_type") == "sigma_min" else np.float32(0)
    return np.append(sigmas, last).astype(np.float32)


# ---- runs ----


def variance_exploding(settings: Settings, steps: int) -> NoiseLevels:
    """The levels of EulerDiscreteScheduler and EulerAncestralDiscreteScheduler: noise is added, the signal stays 1.

    ValueError for sigma_min or betas that make no falling sigmas.
    """
    table = sigma_table(settings)
    times = _timesteps(settings, steps, steps, settings["num_train_timesteps"]).astype(np.float32)
    sigmas = _sigmas_at(times, table)
    if settings.get("interpolation_type") == "log_linear":
        sigmas = np.exp(_linspace(np.log(table[-1]), np.log(table[0]), steps + 1)).astype(np.float64)
    if _is_spaced(settings):
        sigmas = _spaced_sigmas(settings, float(sigmas[0]), float(sigmas[-1]), steps)
        times = _timesteps_of(sigmas, table).astype(np.float32)
    all_sigmas = _append_last_sigma(settings, sigmas, table)
    if settings.get("timestep_type") == "continuous" and settings["prediction_type"] == "v_prediction":
        times = np.float32(0.25) * np.log(all_sigmas[:steps])
    levels = [Level(1.0, float(sigma)) for sigma in all_sigmas]
    largest = float(all_sigmas.max())
    init = math.hypot(1, largest) if settings["timestep_spacing"] == "leading" else largest
    return NoiseLevels(times, levels[:steps], levels[1 : steps + 1], init)


def variance_preserving(settings: Settings, steps: int) -> NoiseLevels:
    """The levels of DPMSolverMultistepScheduler: sigmas as above, but the squares of signal and noise add to 1.

    ValueError for sigma_min or betas that make no falling sigmas.
    """
    table = sigma_table(settings)
    # The noisiest timesteps, whose lambda = log(signal / noise) is below lambda_min_clipped, are left out. A cosine
    # schedule needs that: its lambda falls to minus infinity.
    cut = int(np.searchsorted(-np.log(table[::-1]), settings["lambda_min_clipped"]))
    times = _timesteps(settings, steps, steps + 1, settings["num_train_timesteps"] - cut).round()
    sigmas = _sigmas_at(times, table)
    if _is_spaced(settings):
        sigmas = _spaced_sigmas(settings, float(table[-1]), float(table[0]), steps)
        times = _timesteps_of(sigmas, table)
        # diffusers cuts the fractions off where it does not round, and it rounds only these.
        if settings["use_karras_sigmas"] and settings["beta_schedule"] != "squaredcos_cap_v2":
            times = times.round()
    all_sigmas = _append_last_sigma(settings, sigmas, table).astype(np.float64)
    scales = np.hypot(1, all_sigmas)
    levels = [Level(float(1 / scale), float(sigma / scale)) for sigma, scale in zip(all_sigmas, scales, strict=True)]
    return NoiseLevels(times.astype(np.int64), levels[:-1], levels[1:], 1.0)


def implicit(settings: Settings, steps: int) -> NoiseLevels:
    """The levels of DDIMScheduler: each step leads down by the same number of timesteps.

    So a step does not always lead to where the next one begins. ValueError for more steps than there are timesteps.
    """
    bar, train = alphas_bar(settings), settings["num_train_timesteps"]
    times = _timesteps(settings, steps, steps, train).round().astype(np.int64)
    if times[0] >= train:
        raise ValueError(f"steps must be fewer than {steps} with steps_offset {settings['steps_offset']}")
    final = 1.0 if settings["set_alpha_to_one"] else float(bar[0])
    down = times - train // steps
    after = [_level(float(bar[time]) if time >= 0 else final) for time in down]
    return NoiseLevels(times, [_level(float(bar[time])) for time in times], after, 1.0)


def consistency(settings: Settings, steps: int) -> NoiseLevels:
    """The levels of LCMScheduler and TCDScheduler: `steps` of the timesteps of the distillation, evenly taken.

    timestep_spacing is not asked. ValueError for more steps than original_inference_steps, or too many of those.
    """
    bar, train, distilled = alphas_bar(settings), settings["num_train_timesteps"], settings["original_inference_steps"]
    if distilled > train:
        raise ValueError(f"original_inference_steps must be at most num_train_timesteps ({train}), not {distilled}")
    if steps > distilled:
        raise ValueError(f"steps must be at most original_inference_steps ({distilled}), not {steps}")
    every = np.arange(distilled, 0, -1) * (train // distilled) - 1
    times = every[np.floor(np.linspace(0, distilled, steps, endpoint=False)).astype(np.int64)]
    levels = [_level(float(bar[time])) for time in times]
    return NoiseLevels(times, levels, [*levels[1:], CLEAN], 1.0)


def _level(bar: float) -> Level:
    """The level at which the signal has this share of the variance."""
    return Level(math.sqrt(bar), math.sqrt(1 - bar))
