"""One step of each sampler without memory as a Move: the formulas of its paper, written in noise levels.

Each function takes the settings, the levels of the run, the step's number, and how many rows the history has (0: the
job begins here). ValueError for a prediction that a level does not allow.
"""

from __future__ import annotations

import math

from safelight_server.pixels.coefficients import Update

from .moves import Move
from .noise_levels import Level, NoiseLevels
from .prediction import NOISE, clip, straight, x0
from .scheduler_classes import Settings
from .training import alphas_bar


def euler(s: Settings, levels: NoiseLevels, i: int, held: int) -> Move:
    """Euler's step: Karras et al. 2022, algorithm 1 without its second order."""
    now, then = levels.before[i], levels.after[i]
    return Move(Update(*x0(s, now), *straight(now, then)))


def euler_ancestral(s: Settings, levels: NoiseLevels, i: int, held: int) -> Move:
    """k-diffusion's sample_euler_ancestral: to less noise than the target has, then up to it with fresh noise."""
    now, then = levels.before[i], levels.after[i]
    ratio = then.noise / now.noise
    down = Level(then.signal, then.noise * ratio)
    return Move(Update(*x0(s, now), *straight(now, down), noise=then.noise * math.sqrt(1 - ratio**2)))


def ddim(s: Settings, levels: NoiseLevels, i: int, held: int) -> Move:
    """DDIM: Song et al. 2020, equations 12 and 16. The noise is the network's own, not what a clipped x0 leaves."""
    now, then = levels.before[i], levels.after[i]
    sigma = s["eta"] * then.noise / now.noise * math.sqrt(1 - (now.signal / then.signal) ** 2)
    direction = math.sqrt(max(0.0, then.noise**2 - sigma**2))
    sample, output = (direction * weight for weight in NOISE[s["prediction_type"]](*now))
    return Move(Update(*x0(s, now), sample, then.signal, output, noise=sigma, clip=clip(s)))


def ddpm(s: Settings, levels: NoiseLevels, i: int, held: int) -> Move:
    """DDPM: Ho et al. 2020, equations 6 and 7; their two choices of the variance are the small and the large one."""
    now, then = levels.before[i], levels.after[i]
    kept = (now.signal / then.signal) ** 2
    share = (then.noise / now.noise) ** 2
    variance = (1 - kept) * (1 if s["variance_type"] == "fixed_large" else share) if levels.timesteps[i] > 0 else 0.0
    denoised = then.signal * (1 - kept) / now.noise**2
    return Move(Update(*x0(s, now), math.sqrt(kept) * share, denoised, noise=math.sqrt(variance), clip=clip(s)))


def lcm(s: Settings, levels: NoiseLevels, i: int, held: int) -> Move:
    """LCM, Luo et al. 2023, algorithm 3, with c_skip and c_out of Song et al. 2023 for sigma_data 0.5."""
    now, then = levels.before[i], levels.after[i]
    time = float(levels.timesteps[i]) * s["timestep_scaling"]
    skip, out = 0.25 / (time**2 + 0.25), time / math.hypot(time, 0.5)
    return Move(Update(*x0(s, now), then.signal * skip, then.signal * out, noise=then.noise, clip=clip(s)))


def tcd(s: Settings, levels: NoiseLevels, i: int, held: int) -> Move:
    """TCD, Zheng et al. 2024, algorithm 4: down to a timestep below the next one (by eta), then up to it with noise."""
    now, bar, last = levels.before[i], alphas_bar(s), i == len(levels.before) - 1
    target = 0 if last else int(levels.timesteps[i + 1])
    below = float(bar[math.floor((1 - s["eta"]) * target)])
    kept = 1.0 if last else float(bar[target]) / below
    sample, output = (math.sqrt(kept * (1 - below)) * weight for weight in NOISE[s["prediction_type"]](*now))
    return Move(Update(*x0(s, now), sample, math.sqrt(kept * below), output, noise=math.sqrt(max(0.0, 1 - kept))))
