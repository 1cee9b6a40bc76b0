"""Samplers that ask the network twice a step: its two evaluations are two steps here, as in diffusers' timesteps.

The first evaluation of a step has an even number. It leads to the second's place, and keeps for it in the history what
the whole step begins from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from safelight_server.pixels.coefficients import Update

from .moves import Move
from .noise_levels import Level, NoiseLevels, exploding_sigmas
from .prediction import clip, straight, x0
from .scheduler_classes import Settings
from .spacing import measure_of, timesteps_of

SAMPLE = ((1.0, 0.0),)  # a history: the sample

# ---- levels ----


def _two_stages(
    settings: Settings, steps: int, *, middle: Callable[[float, float], float], rounds: bool = False
) -> NoiseLevels:
    """2 * steps - 1 evaluations: one at each sigma but the end, and one between those two and two.

    `middle`: the sigma between two. `rounds`: whether the timesteps of Karras sigmas are rounded. A picture is noised
    before a second evaluation to where the whole step leads, as in diffusers. ValueError as in `exploding_sigmas`.
    """
    run = exploding_sigmas(settings, steps)
    times = run.times.round() if rounds and measure_of(settings) == "use_karras_sigmas" else run.times
    ends = [float(sigma) for sigma in run.sigmas]
    middles = [middle(high, low) for high, low in pairwise(ends[:-1])]
    between = timesteps_of(np.array(middles, np.float32), run.table)
    # A middle that is the step's end but for roundings has its timestep: a hair below, the network would see another.
    same = np.array(middles) == ends[1:-1]
    between = np.where(same | (abs(between - run.times[1:]) < 1e-3), run.times[1:], between)
    before = [Level(1.0, sigma) for sigma in _woven(ends[:-1], middles)]
    return NoiseLevels(
        timesteps=np.array(_woven(times, between), np.float32),
        before=before,
        after=[*before[1:], Level(1.0, ends[-1])],
        init_noise_sigma=run.init,
        starts=range(0, 2 * steps, 2),
        noising=[Level(1.0, sigma) for sigma in _woven(ends[:-1], ends[1:-1])],
    )


def _woven(ends: Sequence[float] | npt.NDArray[Any], middles: Sequence[float] | npt.NDArray[Any]) -> list[float]:
    """One of `ends`, one of `middles`, and so on; there is one more of the ends."""
    return [ends[0], *(value for pair in zip(middles, ends[1:], strict=True) for value in pair)]


heun_levels = partial(_two_stages, middle=lambda high, low: low)
kdpm2_levels = partial(_two_stages, middle=lambda high, low: math.sqrt(high * low), rounds=True)
kdpm2_ancestral_levels = partial(
    _two_stages, middle=lambda high, low: math.sqrt(high * _rounded_ancestral(high, low)[0]), rounds=True
)
sde_levels = partial(_two_stages, middle=lambda high, low: math.sqrt(high * low))


# ---- one evaluation of each sampler: its Move ----


def _ancestral(high: float, low: float) -> tuple[float, float]:
    """The sigma that an ancestral step from high to low leads down to, and that of its noise."""
    return low**2 / high, low * math.sqrt(1 - (low / high) ** 2)


def _rounded_ancestral(high: float, low: float) -> tuple[float, float]:
    """The same in float32 as diffusers reckons it, which shows: a middle that is 0.1 % off has another timestep."""
    whole, square = np.float32(high) ** 2, np.float32(low) ** 2
    noise = np.sqrt(square * (whole - square) / whole)
    down = np.sqrt(max(square - noise**2, np.float32(0)))
    return (float(down), float(noise)) if down > 0 else _ancestral(high, low)


def heun(s: Settings, levels: NoiseLevels, i: int, held: int) -> Move:
    """Heun's step: Karras et al. 2022, algorithm 1; of the derivatives at both ends, the mean."""
    now, then = levels.before[i], levels.after[i]
    if i % 2:
        half = (now.noise - levels.before[i - 1].noise) / 2
        return Move(Update(*x0(s, now), half / now.noise, -half / now.noise, clip=clip(s)), (1.0,))
    half = (then.noise - now.noise) / 2
    keeps = ((1 + half / now.noise, -half / now.noise),)
    return Move(Update(*x0(s, now), *straight(now, then), clip=clip(s)), keeps=keeps)


def kdpm2(s: Settings, levels: NoiseLevels, i: int, held: int) -> Move:
    """DPM-Solver-2 as in k-diffusion's sample_dpm_2: the whole step goes by the derivative in its middle."""
    return _by_middle(s, levels, i, lambda high, low: (low, 0.0))


def kdpm2_ancestral(s: Settings, levels: NoiseLevels, i: int, held: int) -> Move:
    """k-diffusion's sample_dpm_2_ancestral: likewise, to less noise than the target has, then up to it."""
    return _by_middle(s, levels, i, _rounded_ancestral)


def _by_middle(s: Settings, levels: NoiseLevels, i: int, split: Callable[[float, float], tuple[float, float]]) -> Move:
    """`split`: of the sigmas before and after a step, the one that it leads down to, and that of its noise."""
    now, then = levels.before[i], levels.after[i]
    if i % 2 == 0:
        return Move(Update(*x0(s, now), *straight(now, then)), keeps=SAMPLE)
    start = levels.before[i - 1].noise
    down, noise = split(start, then.noise)
    share = (down - start) / now.noise
    return Move(Update(*x0(s, now), share, -share, noise=noise), (1.0,))


def dpmpp_sde(s: Settings, levels: NoiseLevels, i: int, held: int) -> Move:
    """k-diffusion's sample_dpmpp_sde (DPM-Solver++ of the stochastic equation, with its middle): two ancestral steps.

    Both begin where the whole step does, the second with x0 of the middle.
    """
    now, then = levels.before[i], levels.after[i]
    start = levels.before[i - 1] if i % 2 else now
    down, noise = _ancestral(start.noise, then.noise)
    sample, denoised = straight(start, Level(1.0, down))
    if i % 2:
        return Move(Update(*x0(s, now), 0.0, denoised, noise=noise), (sample,))
    return Move(Update(*x0(s, now), sample, denoised, noise=noise), keeps=SAMPLE)
