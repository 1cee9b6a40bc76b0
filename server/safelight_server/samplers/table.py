"""Samplers as data: for each step of a run, the timestep that the network gets, and the Update for its output.

A sampler is our function for a scheduler of diffusers. Nothing here has state: a Schedule is a value, and
`kernels.advance` of pixels does the arithmetic of its updates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy.typing as npt

from safelight_server.pixels.coefficients import Update

from .names import canonical
from .noise_levels import CLEAN, Level, NoiseLevels, consistency, implicit, variance_exploding, variance_preserving
from .scheduler_config import DEFAULTS, Settings, settings
from .steps import ddim, dpmpp_2m, dpmpp_2m_sde, euler, euler_ancestral, lcm, tcd

Updates = tuple[Update, ...]


@dataclass(frozen=True, eq=False)
class Schedule:
    """A whole run of n steps, 0 to n - 1. A job may begin at any of them, and may end before the last."""

    timesteps: npt.NDArray[Any]  # (n,), float32 or int64 as diffusers has them; read-only
    init_noise_sigma: float  # pure noise times this is the sample before step 0
    num_train_timesteps: int
    levels: tuple[Level, ...]  # n + 1: before each step, and after the last
    updates: Updates  # n
    first_updates: Updates  # n: for a step that has no x0 of a step before
    noise_steps: tuple[bool, ...]  # n: whether the step takes fresh noise

    def __len__(self) -> int:
        return len(self.timesteps)

    def input_scale(self, i: int) -> float:
        """What the sample before step i is multiplied by to be the network's input: this makes its variance about 1."""
        return 1 / math.hypot(*self.levels[i])

    def noising(self, i: int) -> Level:
        """The level (signal, noise) before step i; signal * clean + noise * n is as noisy. Of i = n: (1, 0)."""
        return self.levels[i]

    def update(self, i: int, first: bool) -> Update:
        """The weights of step i. `first`: there is no x0 of a step before, since the job or its model begins here."""
        return (self.first_updates if first else self.updates)[i]

    def uses_noise(self, i: int) -> bool:
        """Whether step i takes fresh noise from the generator. diffusers takes it also where its weight is 0."""
        return self.noise_steps[i]


class Sampler(NamedTuple):
    """How the runs of one scheduler are made."""

    scheduler: str  # the class of diffusers that makes the same runs
    noise_levels: Callable[[Settings, int], NoiseLevels]  # from the settings and the number of steps
    step: Callable[[Settings, NoiseLevels, int, bool], Update]
    uses_noise: Callable[[Settings, int], bool] = lambda s, left: False  # `left`: how many steps come after this one
    preset: Settings = MappingProxyType({})  # the settings that the sampler's name stands for


def _dpmpp(**preset: Any) -> Sampler:
    """DPM-Solver++ of two steps; what the name leaves out is off, whatever the file says."""
    off = {"algorithm_type": "dpmsolver++", "use_karras_sigmas": False, "use_exponential_sigmas": False}
    return Sampler("DPMSolverMultistepScheduler", variance_preserving, dpmpp_2m, preset={**off, **preset})


def _dpmpp_sde(**preset: Any) -> Sampler:
    plain = _dpmpp(algorithm_type="sde-dpmsolver++", **preset)
    return plain._replace(step=dpmpp_2m_sde, uses_noise=lambda s, left: True)


SAMPLERS: dict[str, Sampler] = {
    "euler": Sampler("EulerDiscreteScheduler", variance_exploding, euler),
    "euler_ancestral": Sampler(
        "EulerAncestralDiscreteScheduler", variance_exploding, euler_ancestral, uses_noise=lambda s, left: True
    ),
    "dpmpp_2m": _dpmpp(),
    "dpmpp_2m_karras": _dpmpp(use_karras_sigmas=True),
    "dpmpp_2m_exponential": _dpmpp(use_exponential_sigmas=True),
    "dpmpp_2m_sde": _dpmpp_sde(),
    "dpmpp_2m_sde_karras": _dpmpp_sde(use_karras_sigmas=True),
    "dpmpp_2m_sde_exponential": _dpmpp_sde(use_exponential_sigmas=True),
    "ddim": Sampler(
        "DDIMScheduler", implicit, ddim, uses_noise=lambda s, left: bool(s["eta"] > 0), preset={"eta": 0.0}
    ),
    "lcm": Sampler("LCMScheduler", consistency, lcm, uses_noise=lambda s, left: left > 0),
    "tcd": Sampler(
        "TCDScheduler", consistency, tcd, uses_noise=lambda s, left: left > 0 and s["eta"] > 0, preset={"eta": 0.3}
    ),
}


def name_of(config: Mapping[str, Any]) -> str:
    """The name of the sampler for a scheduler_config.json. ValueError for a class that no sampler stands for."""
    scheduler: Any = config.get("_class_name")
    if scheduler not in DEFAULTS:
        raise ValueError(f"_class_name must be one of {', '.join(DEFAULTS)}, not {scheduler!r}")
    s = settings(scheduler, config, {})
    for name, sampler in SAMPLERS.items():
        told = {key: value for key, value in sampler.preset.items() if key in s}  # eta is no part of a file
        if scheduler == sampler.scheduler and all((s[key] or False) == value for key, value in told.items()):
            return name
    raise AssertionError(f"no sampler stands for {scheduler}")


def check_config(config: Mapping[str, Any]) -> None:
    """Raises ValueError for a model's scheduler_config.json that asks for what no sampler here does."""
    make_schedule(name_of(config), config, 1)


def make_schedule(
    name: str,
    config: Mapping[str, Any],
    steps: int,
    *,
    use_karras_sigmas: bool | None = None,
    timestep_spacing: str | None = None,
    eta: float | None = None,
) -> Schedule:
    """The run of `steps` steps that the sampler's class of diffusers makes by from_config(config).

    `config` is a scheduler_config.json, maybe of another class. A change that is not None wins over it and over the
    sampler's preset; a sampler without such a setting takes only a change that changes nothing. Some settings make
    fewer steps than asked for (lambda_min_clipped). ValueError names the field, the rule and the value.
    """
    name = canonical(name)
    if name not in SAMPLERS:
        raise ValueError(f"scheduler must be one of {', '.join(SAMPLERS)} (or an alias of one), not {name!r}")
    sampler = SAMPLERS[name]
    options = {"use_karras_sigmas": use_karras_sigmas, "timestep_spacing": timestep_spacing, "eta": eta}
    changes = {key: value for key, value in options.items() if value is not None}
    for key, value in changes.items():
        if value and key not in {**DEFAULTS[sampler.scheduler], **sampler.preset}:
            raise ValueError(f"{key} must be left out for {name}, not {value!r}")
    s = settings(sampler.scheduler, config, {**sampler.preset, **changes})
    if not 1 <= steps <= s["num_train_timesteps"]:
        raise ValueError(f"steps must be in 1..{s['num_train_timesteps']}, not {steps}")
    return _schedule(sampler, s, sampler.noise_levels(s, steps))


def _schedule(sampler: Sampler, s: Settings, levels: NoiseLevels) -> Schedule:
    steps = range(len(levels.timesteps))
    if not all(a.noise * b.signal > b.noise * a.signal for a, b in pairwise(levels.before)):
        raise ValueError(
            f"steps must be few enough for each to begin with less noise than the one before, not {len(steps)}"
        )
    updates, firsts = (tuple(sampler.step(s, levels, i, first) for i in steps) for first in (False, True))
    levels.timesteps.flags.writeable = False
    return Schedule(
        timesteps=levels.timesteps,
        init_noise_sigma=levels.init_noise_sigma,
        num_train_timesteps=s["num_train_timesteps"],
        levels=(*levels.before, CLEAN),
        updates=updates,
        first_updates=firsts,
        noise_steps=tuple(sampler.uses_noise(s, len(steps) - 1 - i) for i in steps),
    )
