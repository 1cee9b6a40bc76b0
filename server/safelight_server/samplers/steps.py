"""One step of each sampler as an Update: the formulas of its paper, written in noise levels.

Each function of the lower half takes the settings, the levels of the run, the step's number, and `first`: whether there
is no clean estimate (x0) of a step before. ValueError for a prediction that a level does not allow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from safelight_server.pixels.coefficients import Update

from .noise_levels import Level, NoiseLevels, alphas_bar
from .scheduler_config import Settings

Weights = tuple[float, float]

# ---- x0 and the noise from what the network predicts, as (weight of the sample, weight of the output) ----

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


def _x0(s: Settings, level: Level) -> Weights:
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


def _straight(now: Level, then: Level) -> Weights:
    """The weights of the sample and of x0 in a step that keeps the predicted noise.

    That is Euler's step, and the first order of DPM-Solver++.
    """
    ratio = then.noise / now.noise
    return ratio, then.signal - now.signal * ratio


def euler(s: Settings, levels: NoiseLevels, i: int, first: bool) -> Update:
    """Euler's step: Karras et al. 2022, algorithm 1 without its second order."""
    now, then = levels.before[i], levels.after[i]
    return Update(*_x0(s, now), *_straight(now, then))


def euler_ancestral(s: Settings, levels: NoiseLevels, i: int, first: bool) -> Update:
    """k-diffusion's sample_euler_ancestral: to less noise than the target has, then up to it with fresh noise."""
    now, then = levels.before[i], levels.after[i]
    ratio = then.noise / now.noise
    down = Level(then.signal, then.noise * ratio)
    return Update(*_x0(s, now), *_straight(now, down), noise=then.noise * math.sqrt(1 - ratio**2))


def dpmpp_2m(s: Settings, levels: NoiseLevels, i: int, first: bool) -> Update:
    """DPM-Solver++(2M), Lu et al. 2022, algorithm 2: from the x0 of this step and of the one before, how x0 changes."""
    now, then = levels.before[i], levels.after[i]
    sample, denoised = _straight(now, then)
    if first or i == 0 or s["solver_order"] == 1 or _ends_straight(s, i, len(levels.before)):
        return Update(*_x0(s, now), sample, denoised)
    before, here, ahead = (math.log(signal / noise) for signal, noise in (levels.before[i - 1], now, then))
    h = ahead - here
    bend = h * denoised / 2 if s["solver_type"] == "midpoint" else then.signal * (h + math.expm1(-h))
    bend /= here - before
    return Update(*_x0(s, now), sample, denoised + bend, previous=-bend)


def dpmpp_2m_sde(s: Settings, levels: NoiseLevels, i: int, first: bool) -> Update:
    """DPM-Solver++(2M) of the stochastic equation: Lu et al. 2022, appendix; each step takes fresh noise."""
    now, then = levels.before[i], levels.after[i]
    decay = then.noise * now.signal / (then.signal * now.noise)  # exp(-h)
    gain = then.signal * (1 - decay**2)
    sample, noise = then.noise / now.noise * decay, then.noise * math.sqrt(1 - decay**2)
    if first or i == 0 or s["solver_order"] == 1 or _ends_straight(s, i, len(levels.before)):
        return Update(*_x0(s, now), sample, gain, noise=noise)
    before, here, ahead = (math.log(signal / noise) for signal, noise in (levels.before[i - 1], now, then))
    h = ahead - here
    bend = h * gain / 2 if s["solver_type"] == "midpoint" else h * then.signal - gain / 2
    bend /= here - before
    return Update(*_x0(s, now), sample, gain + bend, previous=-bend, noise=noise)


def _ends_straight(s: Settings, i: int, steps: int) -> bool:
    short = s["lower_order_final"] and steps < 15
    return bool(i == steps - 1 and (s["euler_at_final"] or short or s["final_sigmas_type"] == "zero"))


def ddim(s: Settings, levels: NoiseLevels, i: int, first: bool) -> Update:
    """DDIM: Song et al. 2020, equations 12 and 16. The noise is the network's own, not what a clipped x0 leaves."""
    now, then = levels.before[i], levels.after[i]
    sigma = s["eta"] * then.noise / now.noise * math.sqrt(1 - (now.signal / then.signal) ** 2)
    direction = math.sqrt(max(0.0, then.noise**2 - sigma**2))
    sample, output = (direction * weight for weight in NOISE[s["prediction_type"]](*now))
    return Update(*_x0(s, now), sample, then.signal, output, noise=sigma, clip=_clip(s))


def lcm(s: Settings, levels: NoiseLevels, i: int, first: bool) -> Update:
    """LCM, Luo et al. 2023, algorithm 3, with c_skip and c_out of Song et al. 2023 for sigma_data 0.5."""
    now, then = levels.before[i], levels.after[i]
    time = float(levels.timesteps[i]) * s["timestep_scaling"]
    skip, out = 0.25 / (time**2 + 0.25), time / math.hypot(time, 0.5)
    return Update(*_x0(s, now), then.signal * skip, then.signal * out, noise=then.noise, clip=_clip(s))


def tcd(s: Settings, levels: NoiseLevels, i: int, first: bool) -> Update:
    """TCD, Zheng et al. 2024, algorithm 4: down to a timestep below the next one (by eta), then up to it with noise."""
    now, bar, last = levels.before[i], alphas_bar(s), i == len(levels.before) - 1
    target = 0 if last else int(levels.timesteps[i + 1])
    below = float(bar[math.floor((1 - s["eta"]) * target)])
    kept = 1.0 if last else float(bar[target]) / below
    sample, output = (math.sqrt(kept * (1 - below)) * weight for weight in NOISE[s["prediction_type"]](*now))
    return Update(*_x0(s, now), sample, math.sqrt(kept * below), output, noise=math.sqrt(max(0.0, 1 - kept)))
