"""One step of each sampler as an Update: its paper's formulas, on noise levels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from safelight_server.pixels.coefficients import Update

from .noise_levels import Course, Level
from .scheduler_config import Settings

Pair = tuple[float, float]

# ---- what the network predicts, as (weight of the sample, weight of the output) ----

X0: Mapping[str, Callable[[float, float], Pair]] = {
    "epsilon": lambda signal, noise: (1 / signal, -noise / signal),
    # Salimans and Ho 2022; their sample has a variance of 1, ours of signal² + noise².
    "v_prediction": lambda signal, noise: (signal / (signal**2 + noise**2), -noise / math.hypot(signal, noise)),
    "sample": lambda signal, noise: (0.0, 1.0),
}
NOISE: Mapping[str, Callable[[float, float], Pair]] = {  # where signal² + noise² is 1
    "epsilon": lambda signal, noise: (0.0, 1.0),
    "v_prediction": lambda signal, noise: (noise, signal),
    "sample": lambda signal, noise: (1 / noise, -signal / noise),
}


def _x0(s: Settings, level: Level) -> Pair:
    prediction = s["prediction_type"]
    if prediction == "epsilon" and level.signal == 0:
        raise ValueError(
            "prediction_type must be 'v_prediction' or 'sample' for a step without signal, which "
            "rescale_betas_zero_snr makes, not 'epsilon'"
        )
    return X0[prediction](*level)


def _clip(s: Settings) -> float | None:
    return float(s["clip_sample_range"]) if s["clip_sample"] else None


# ---- one step of each sampler: its Update ----


def _straight(now: Level, then: Level) -> Pair:
    """(sample, denoised) of a step that keeps the predicted noise: Euler's, and the first order of DPM-Solver++."""
    ratio = then.noise / now.noise
    return ratio, then.signal - now.signal * ratio


def euler(s: Settings, course: Course, i: int, first: bool) -> Update:
    """Karras et al. 2022, algorithm 1 without its second order."""
    now, then = course.levels[i], course.targets[i]
    return Update(*_x0(s, now), *_straight(now, then))


def euler_ancestral(s: Settings, course: Course, i: int, first: bool) -> Update:
    """k-diffusion's sample_euler_ancestral: below the target, then up to it with fresh noise."""
    now, then = course.levels[i], course.targets[i]
    ratio = then.noise / now.noise
    down = Level(then.signal, then.noise * ratio)
    return Update(*_x0(s, now), *_straight(now, down), noise=then.noise * math.sqrt(1 - ratio**2))


def dpmpp_2m(s: Settings, course: Course, i: int, first: bool) -> Update:
    """DPM-Solver++(2M), Lu et al. 2022, algorithm 2: the x0 of the step before tells how x0 bends."""
    now, then = course.levels[i], course.targets[i]
    sample, denoised = _straight(now, then)
    if first or i == 0 or s["solver_order"] == 1 or _ends_straight(s, i, len(course.levels)):
        return Update(*_x0(s, now), sample, denoised)
    before, here, ahead = (math.log(signal / noise) for signal, noise in (course.levels[i - 1], now, then))
    h = ahead - here
    bend = h * denoised / 2 if s["solver_type"] == "midpoint" else then.signal * (h + math.expm1(-h))
    bend /= here - before
    return Update(*_x0(s, now), sample, denoised + bend, previous=-bend)


def _ends_straight(s: Settings, i: int, steps: int) -> bool:
    short = s["lower_order_final"] and steps < 15
    return bool(i == steps - 1 and (s["euler_at_final"] or short or s["final_sigmas_type"] == "zero"))


def ddim(s: Settings, course: Course, i: int, first: bool) -> Update:
    """Song et al. 2020, equations 12 and 16. The direction is the network's own noise even where x0 is clipped."""
    now, then = course.levels[i], course.targets[i]
    sigma = s["eta"] * then.noise / now.noise * math.sqrt(1 - (now.signal / then.signal) ** 2)
    direction = math.sqrt(max(0.0, then.noise**2 - sigma**2))
    sample, output = (direction * weight for weight in NOISE[s["prediction_type"]](*now))
    return Update(*_x0(s, now), sample, then.signal, output, noise=sigma, clip=_clip(s))


def lcm(s: Settings, course: Course, i: int, first: bool) -> Update:
    """Luo et al. 2023, algorithm 3, on the boundary condition of Song et al. 2023: c_skip, c_out, sigma_data 0.5."""
    now, then = course.levels[i], course.targets[i]
    time = float(course.timesteps[i]) * s["timestep_scaling"]
    skip, out = 0.25 / (time**2 + 0.25), time / math.hypot(time, 0.5)
    return Update(*_x0(s, now), then.signal * skip, then.signal * out, noise=then.noise, clip=_clip(s))
