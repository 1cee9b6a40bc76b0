"""Noise over the timesteps of a training: from its betas to the share of the signal at each timestep.

The order of sums and the roundings are those of diffusers, with float32 where it has float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from .scheduler_classes import Settings

Floats = npt.NDArray[np.float32]


def alphas_bar(settings: Settings) -> Floats:
    """The share of the signal's variance at each timestep (num_train_timesteps,), falling (Ho et al. 2020).

    ValueError for betas that leave no signal at the last timestep, unless rescale_betas_zero_snr asks for that.
    """
    count = settings["num_train_timesteps"]
    if settings["trained_betas"] is not None:
        betas = np.array(settings["trained_betas"], np.float32)
    else:
        betas = _BETAS[settings["beta_schedule"]](settings["beta_start"], settings["beta_end"], count)
    if settings.get("rescale_betas_zero_snr"):
        betas = _remove_terminal_signal(betas)
    bar = _cumulative_products(1 - betas)
    if not bar[-1] and not settings.get("rescale_betas_zero_snr"):
        raise ValueError("beta_end, or trained_betas, must leave some of the signal at the last timestep, not 0")
    return bar


def sigma_table(settings: Settings) -> Floats:
    """Noise over signal at each timestep (num_train_timesteps,), rising (Karras et al. 2022).

    ValueError where alphas_bar raises it.
    """
    bar = alphas_bar(settings)
    if settings.get("rescale_betas_zero_snr"):
        bar[-1] = 2**-24  # not 0, which would make this infinite
    return np.asarray(np.sqrt((1 - bar) / bar))


def _cumulative_products(alphas: Floats) -> Floats:
    return np.cumprod(alphas, dtype=np.float64).astype(np.float32)  # torch multiplies in double precision, too


def linspace(start: float, stop: float, count: int) -> Floats:
    """torch.linspace: from both ends to the middle, each step one fused multiply-add."""
    first, last, index = np.float32(start), np.float32(stop), np.arange(count)
    step = np.float64((last - first) / np.float32(count - 1))
    return np.where(index < count // 2, first + step * index, last - step * (count - 1 - index)).astype(np.float32)


def _cosine_betas(_start: float, _stop: float, count: int) -> Floats:
    """Nichol and Dhariwal 2021."""
    bar = [math.cos((t / count + 0.008) / 1.008 * math.pi / 2) ** 2 for t in range(count + 1)]
    return np.array([min(1 - bar[t + 1] / bar[t], 0.999) for t in range(count)], np.float32)


_BETAS: Mapping[str, Callable[[float, float, int], Floats]] = {
    "linear": linspace,
    "scaled_linear": lambda start, stop, count: linspace(start**0.5, stop**0.5, count) ** 2,
    "squaredcos_cap_v2": _cosine_betas,
}


def _remove_terminal_signal(betas: Floats) -> Floats:
    """Betas that leave nothing of the signal at the last timestep (Lin et al. 2023, algorithm 1)."""
    root = np.sqrt(_cumulative_products(1 - betas))
    first, last = root[0], root[-1]
    bar = ((root - last) * (first / (first - last))) ** 2
    return np.asarray(1 - np.concatenate([bar[:1], bar[1:] / bar[:-1]]))
