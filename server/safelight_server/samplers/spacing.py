"""Where a run has its steps: the timesteps of the training that it takes, or sigmas that fall evenly in some measure.

They show: a timestep that comes out a hair below 1 reaches the network as 0. So roundings are those of diffusers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .scheduler_classes import Settings
from .training import Floats

Doubles = npt.NDArray[np.float64]
RHO = 7.0  # Karras et al. 2022
BETA = 0.6  # both parameters of the beta distribution: Lee et al. 2024, arXiv:2407.12173


def timesteps(settings: Settings, steps: int, points: int, last: int) -> Doubles:
    """Falling timesteps (steps,), not rounded yet, from the first `last` of the training's (Lin et al. 2023, table 2).

    "linspace" and "leading" space `points` timesteps and take the first `steps` of them.
    """
    spacing = settings.get("timestep_spacing", "linspace")
    if spacing == "linspace":
        return np.linspace(0, last - 1, points)[::-1][:steps]
    if spacing == "leading":
        return np.asarray((np.arange(points) * float(last // points))[::-1][:steps] + settings["steps_offset"])
    # Rounding makes this one too long for some counts (61, 103, ...). diffusers then runs a step at timestep -1.
    return np.arange(last, 0, -settings["num_train_timesteps"] / steps).round()[:steps] - 1


def measure_of(settings: Settings) -> str | None:
    """The setting that spaces the sigmas, a key of SPACED; None: the timesteps do."""
    return next((key for key in SPACED if settings.get(key)), None)


def spaced_sigmas(settings: Settings, first: float, last: float, steps: int) -> Doubles:
    """Sigmas (steps,) that fall evenly in the measure that the settings ask for.

    They go from sigma_max to sigma_min; where the settings leave these out, from `first` to `last`.
    """
    measure = measure_of(settings)
    assert measure is not None
    given = (None, None) if measure == "use_lu_lambdas" else (settings.get("sigma_max"), settings.get("sigma_min"))
    high, low = (default if end is None else end for end, default in zip(given, (first, last), strict=True))
    if steps > 1 and high <= low:
        raise ValueError(f"sigma_min must be below sigma_max ({high:g}), not {low:g}")
    return SPACED[measure](high, low, steps)


def seventh_roots(high: float, low: float, steps: int, rho: float = RHO) -> Doubles:
    """Karras et al. 2022, equation 5."""
    ends = [end ** (1 / rho) for end in (high, low)]
    return np.asarray((ends[0] + np.linspace(0, 1, steps) * (ends[1] - ends[0])) ** rho)


def logarithms(high: float, low: float, steps: int) -> Doubles:
    """Even in log(sigma)."""
    return np.exp(np.linspace(math.log(high), math.log(low), steps))


def _lambdas(high: float, low: float, steps: int) -> Doubles:
    """Lu et al. 2022; with diffusers' rounding of the ends, by which a timestep of 999 stays one."""
    ends = np.log(np.array([high, low], np.float32)).astype(np.float64)
    return np.exp(np.linspace(ends[0], ends[1], steps))


def _beta_quantiles(high: float, low: float, steps: int) -> Doubles:
    return low + beta_quantiles(1 - np.linspace(0, 1, steps)) * (high - low)


SPACED: Mapping[str, Callable[[float, float, int], Doubles]] = {
    "use_karras_sigmas": seventh_roots,
    "use_lu_lambdas": _lambdas,
    "use_exponential_sigmas": logarithms,
    "use_beta_sigmas": _beta_quantiles,
}


def beta_quantiles(shares: Doubles) -> Doubles:
    """Where the beta distribution with both parameters BETA has these shares below it; by halving, to 1e-15."""
    lower = np.minimum(shares, 1 - shares)  # the distribution is symmetric
    low, high = np.zeros_like(shares), np.full_like(shares, 0.5**BETA)  # of x**BETA, in which it is nearly straight
    for _ in range(60):
        middle = (low + high) / 2
        above = _share_below(middle) > lower
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    x = np.where(lower > 0, high, 0.0) ** (1 / BETA)
    return np.asarray(np.where(shares > 0.5, 1 - x, x))


def _share_below(power: Doubles) -> Doubles:
    """The share of the beta distribution below x = power ** (1 / BETA), up to 0.5: the integral as a power series."""
    x, term, total = power ** (1 / BETA), np.ones_like(power), np.zeros_like(power)
    for k in range(60):
        total = total + term / (BETA + k)
        term = term * x * (1 - BETA + k) / (k + 1)
    return np.asarray(power * total * math.gamma(2 * BETA) / math.gamma(BETA) ** 2)


def timesteps_of(sigmas: npt.NDArray[Any], table: Floats) -> Doubles:
    """The timesteps of the training that have these sigmas, in fractions: log(sigma) is linear between two of them."""
    return np.asarray(np.interp(np.log(sigmas), np.log(table), np.arange(len(table))))


def sigmas_at(times: npt.NDArray[Any], table: Floats) -> Doubles:
    """Sigmas at timesteps in fractions."""
    return np.asarray(np.interp(times, np.arange(len(table)), table))
