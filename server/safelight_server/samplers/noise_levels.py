"""The noise levels of a run: where each step begins and where it leads, for each family of schedulers.

The order of sums and the roundings are those of diffusers, with float32 where it has float32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .scheduler_classes import Settings
from .spacing import (
    Doubles,
    logarithms,
    measure_of,
    seventh_roots,
    sigmas_at,
    spaced_sigmas,
    timesteps,
    timesteps_of,
)
from .training import Floats, alphas_bar, linspace, sigma_table


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
    starts: Sequence[int] | None = None  # the steps that a job may begin at; None: all of them
    # What a picture is noised to before each step, where diffusers does not take `before`: see two_stages.py.
    noising: Sequence[Level] | None = None


class Sigmas(NamedTuple):
    """Noise over signal in a run of n steps."""

    times: npt.NDArray[Any]  # (n,), float32
    sigmas: Floats  # (n + 1,): before each step, and after the last
    table: Floats  # of the training
    init: float  # init_noise_sigma

    def levels(self) -> list[Level]:
        """n + 1 levels, where noise is added and the signal stays 1."""
        return [Level(1.0, float(sigma)) for sigma in self.sigmas]


def _append_last_sigma(settings: Settings, sigmas: npt.NDArray[Any], lowest: np.float32) -> Floats:
    """The sigmas (n,), and the one that the last step leads to: (n + 1,)."""
    last = lowest if settings.get("final_sigmas_type") == "sigma_min" else np.float32(0)
    return np.append(sigmas, last).astype(np.float32)


def exploding_sigmas(settings: Settings, steps: int) -> Sigmas:
    """The sigmas of the schedulers that come from k-diffusion.

    ValueError for sigma_min or betas that make no falling sigmas.
    """
    table = sigma_table(settings)
    times = timesteps(settings, steps, steps, settings["num_train_timesteps"]).astype(np.float32)
    sigmas = sigmas_at(times, table)
    if settings.get("interpolation_type") == "log_linear":
        sigmas = np.exp(linspace(np.log(table[-1]), np.log(table[0]), steps + 1)).astype(np.float64)
    if measure_of(settings):
        sigmas = spaced_sigmas(settings, float(sigmas[0]), float(sigmas[-1]), steps)
        times = timesteps_of(sigmas, table).astype(np.float32)
    all_sigmas = _append_last_sigma(settings, sigmas, table[0])
    if settings.get("timestep_type") == "continuous" and settings["prediction_type"] == "v_prediction":
        times = np.float32(0.25) * np.log(all_sigmas[:steps])
    largest = float(all_sigmas.max())
    init = math.hypot(1, largest) if settings["timestep_spacing"] == "leading" else largest
    return Sigmas(times, all_sigmas, table, init)


def variance_exploding(settings: Settings, steps: int) -> NoiseLevels:
    """The levels of EulerDiscreteScheduler, its ancestral and LMSDiscreteScheduler."""
    run = exploding_sigmas(settings, steps)
    levels = run.levels()
    return NoiseLevels(run.times, levels[:steps], levels[1 : steps + 1], run.init)


def preconditioned(settings: Settings, steps: int) -> NoiseLevels:
    """The levels of EDMEulerScheduler and EDMDPMSolverMultistepScheduler (Karras et al. 2022, table 1).

    They ask no training: sigma_max, sigma_min and rho say all. ValueError for ends that make no falling sigmas.
    """
    high, low, exponential = settings["sigma_max"], settings["sigma_min"], settings["sigma_schedule"] == "exponential"
    if high <= low:
        raise ValueError(f"sigma_min must be below sigma_max ({high:g}), not {low:g}")
    sigmas = logarithms(high, low, steps) if exponential else seventh_roots(high, low, steps, settings["rho"])
    if steps == 1 and exponential:
        sigmas = np.array([low], np.float64)  # diffusers' choice, too
    sigmas = sigmas.astype(np.float32)
    lowest = np.float32(low) if "solver_order" in settings else sigmas[-1]
    levels = [Level(1.0, float(sigma)) for sigma in _append_last_sigma(settings, sigmas, lowest)]
    return NoiseLevels(np.float32(0.25) * np.log(sigmas), levels[:-1], levels[1:], math.hypot(1, high))


def variance_preserving(
    settings: Settings, steps: int, *, keeps_cosine: bool = False, own_end: bool = False
) -> NoiseLevels:
    """The levels of the multistep solvers: sigmas as above, but the squares of signal and noise add to 1.

    `keeps_cosine`: the timesteps of Karras sigmas are not rounded for cosine betas. `own_end`: a run of spaced sigmas
    to sigma_min ends with the last of them, not with the lowest of the training. ValueError for sigma_min or betas
    that make no falling sigmas.
    """
    table = sigma_table(settings)
    # The noisiest timesteps, whose lambda = log(signal / noise) is below lambda_min_clipped, are left out. A cosine
    # schedule needs that: its lambda falls to minus infinity.
    cut = int(np.searchsorted(-np.log(table[::-1]), settings.get("lambda_min_clipped", -math.inf)))
    times = timesteps(settings, steps, steps + 1, settings["num_train_timesteps"] - cut).round()
    sigmas, measure, lowest = sigmas_at(times, table), measure_of(settings), table[0]
    if measure:
        sigmas = spaced_sigmas(settings, float(table[-1]), float(table[0]), steps)
        times = timesteps_of(sigmas, table)
        lowest = np.float32(sigmas[-1]) if own_end else lowest
        # diffusers cuts the fractions off where it does not round, and it rounds only these.
        cosine = settings["beta_schedule"] == "squaredcos_cap_v2"
        if measure in ("use_karras_sigmas", "use_lu_lambdas") and not (keeps_cosine and cosine):
            times = times.round()
    return _preserving(times, _append_last_sigma(settings, sigmas, lowest).astype(np.float64))


def _preserving(times: Doubles, sigmas: Doubles) -> NoiseLevels:
    scales = np.hypot(1, sigmas)
    levels = [Level(float(1 / scale), float(sigma / scale)) for sigma, scale in zip(sigmas, scales, strict=True)]
    return NoiseLevels(times.astype(np.int64), levels[:-1], levels[1:], 1.0)


def _times_of_training(settings: Settings, steps: int) -> npt.NDArray[np.int64]:
    """Whole timesteps (steps,). ValueError for more steps than there are timesteps."""
    train = settings["num_train_timesteps"]
    times = timesteps(settings, steps, steps, train).round().astype(np.int64)
    if times[0] >= train:
        raise ValueError(f"steps must be fewer than {steps} with steps_offset {settings['steps_offset']}")
    return times


def implicit(settings: Settings, steps: int) -> NoiseLevels:
    """The levels of DDIMScheduler: each step leads down by the same number of timesteps.

    So a step does not always lead to where the next one begins. ValueError for more steps than there are timesteps.
    """
    return _down(settings, _times_of_training(settings, steps), steps)


def repeated(settings: Settings, steps: int) -> NoiseLevels:
    """The levels of PNDMScheduler: those of DDIM, but the second timestep comes twice, to take the first step again."""
    times = _times_of_training(settings, steps)
    if steps == 1:
        return _down(settings, times, steps)
    levels = _down(settings, np.insert(times, 1, times[1]), steps)
    after = [levels.after[0], levels.before[1], *levels.after[2:]]
    return levels._replace(after=after, starts=(0, *range(2, steps + 1)))


def _down(settings: Settings, times: npt.NDArray[np.int64], steps: int) -> NoiseLevels:
    bar, train = alphas_bar(settings), settings["num_train_timesteps"]
    final = 1.0 if settings["set_alpha_to_one"] else float(bar[0])
    down = times - train // steps
    after = [level(float(bar[time]) if time >= 0 else final) for time in down]
    return NoiseLevels(times, [level(float(bar[time])) for time in times], after, 1.0)


def probabilistic(settings: Settings, steps: int) -> NoiseLevels:
    """The levels of DDPMScheduler: each step leads to where the next one begins, the last to no noise."""
    return _in_a_row(_times_of_training(settings, steps), alphas_bar(settings))


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
    return _in_a_row(every[np.floor(np.linspace(0, distilled, steps, endpoint=False)).astype(np.int64)], bar)


def _in_a_row(times: npt.NDArray[np.int64], bar: Floats) -> NoiseLevels:
    levels = [level(float(bar[time])) for time in times]
    return NoiseLevels(times, levels, [*levels[1:], CLEAN], 1.0)


def level(bar: float) -> Level:
    """The level at which the signal has this share of the variance."""
    return Level(math.sqrt(bar), math.sqrt(1 - bar))
