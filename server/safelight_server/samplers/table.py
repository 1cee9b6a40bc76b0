"""Samplers as data: for each step of a run, what the network is told, and the Update that its output goes into.

Nothing here remembers anything. A Schedule is a value, and `pixels.advance` does the arithmetic of its updates.
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

from .noise_levels import CLEAN, Course, Level, consistency, implicit, variance_exploding, variance_preserving
from .scheduler_config import DEFAULTS, Settings, settings
from .steps import Pair, ddim, dpmpp_2m, euler, euler_ancestral, lcm

Updates = tuple[Update, ...]


@dataclass(frozen=True, eq=False)
class Schedule:
    """A whole run of n steps, 0 to n - 1. A job may begin at any of them, or leave early."""

    timesteps: npt.NDArray[Any]  # (n,), float32 or int64 as diffusers has them; read-only
    init_noise_sigma: float  # pure noise times this is the sample before step 0
    num_train_timesteps: int
    levels: tuple[Level, ...]  # n + 1
    updates: Updates  # n
    first_updates: Updates  # n
    noise_steps: tuple[bool, ...]  # n

    def __len__(self) -> int:
        return len(self.timesteps)

    def input_scale(self, i: int) -> float:
        """What the sample is multiplied by for the network to see it at step i, with a variance of about 1."""
        return 1 / math.hypot(*self.levels[i])

    def noising(self, i: int) -> Pair:
        """(a, b) so that a * clean + b * noise is as noisy as the sample before step i; (1, 0) for i = n."""
        return self.levels[i]

    def update(self, i: int, first: bool) -> Update:
        """Step i; `first`: there is no x0 of a step before, as the job or this model begins here."""
        return (self.first_updates if first else self.updates)[i]

    def uses_noise(self, i: int) -> bool:
        """Whether step i takes fresh noise from the generator: its weight may be 0, but diffusers draws it anyway."""
        return self.noise_steps[i]


class Sampler(NamedTuple):
    """`draws` is told how many steps come after this one; `preset` is what the name says about the settings."""

    scheduler: str  # diffusers' class
    course: Callable[[Settings, int], Course]
    step: Callable[[Settings, Course, int, bool], Update]
    uses_noise: Callable[[Settings, int], bool] = lambda s, left: False
    preset: Settings = MappingProxyType({})


SAMPLERS: dict[str, Sampler] = {
    "euler": Sampler("EulerDiscreteScheduler", variance_exploding, euler),
    "euler_ancestral": Sampler(
        "EulerAncestralDiscreteScheduler", variance_exploding, euler_ancestral, uses_noise=lambda s, left: True
    ),
    "dpmpp_2m": Sampler(
        "DPMSolverMultistepScheduler", variance_preserving, dpmpp_2m, preset={"use_karras_sigmas": False}
    ),
    "dpmpp_2m_karras": Sampler(
        "DPMSolverMultistepScheduler", variance_preserving, dpmpp_2m, preset={"use_karras_sigmas": True}
    ),
    "ddim": Sampler(
        "DDIMScheduler", implicit, ddim, uses_noise=lambda s, left: bool(s["eta"] > 0), preset={"eta": 0.0}
    ),
    "lcm": Sampler("LCMScheduler", consistency, lcm, uses_noise=lambda s, left: left > 0),
}


def name_of(config: Mapping[str, Any]) -> str:
    """Our name of a scheduler_config.json's class. ValueError for a class that is none of ours."""
    scheduler, karras = config.get("_class_name"), bool(config.get("use_karras_sigmas"))
    for name, sampler in SAMPLERS.items():
        if scheduler == sampler.scheduler and sampler.preset.get("use_karras_sigmas", karras) == karras:
            return name
    raise ValueError(f"_class_name must be one of {', '.join(DEFAULTS)}, not {scheduler!r}")


def check_config(config: Mapping[str, Any]) -> None:
    """ValueError where a model's own scheduler_config.json asks for what we do not do."""
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
    """The run of `steps` steps that diffusers' class of that name makes by from_config(config).

    `config` is a scheduler_config.json, which may be another class's. The three changes, None for none, win over it
    and over what the name says; where a sampler has no such setting, it takes only what changes nothing. Few settings
    make fewer steps than asked for (lambda_min_clipped). ValueError that names the field, the rule and the value.
    """
    if name not in SAMPLERS:
        raise ValueError(f"scheduler must be one of {', '.join(SAMPLERS)}, not {name!r}")
    sampler = SAMPLERS[name]
    options = {"use_karras_sigmas": use_karras_sigmas, "timestep_spacing": timestep_spacing, "eta": eta}
    changes = {key: value for key, value in options.items() if value is not None}
    for key, value in changes.items():
        if value and key not in {**DEFAULTS[sampler.scheduler], **sampler.preset}:
            raise ValueError(f"{key} must be left out for {name}, not {value!r}")
    s = settings(sampler.scheduler, config, {**sampler.preset, **changes})
    if not 1 <= steps <= s["num_train_timesteps"]:
        raise ValueError(f"steps must be in 1..{s['num_train_timesteps']}, not {steps}")
    return _schedule(sampler, s, sampler.course(s, steps))


def _schedule(sampler: Sampler, s: Settings, course: Course) -> Schedule:
    steps = range(len(course.timesteps))
    if not all(a.noise * b.signal > b.noise * a.signal for a, b in pairwise(course.levels)):
        raise ValueError(
            f"steps must be few enough for each to begin with less noise than the one before, not {len(steps)}"
        )
    updates, firsts = (tuple(sampler.step(s, course, i, first) for i in steps) for first in (False, True))
    course.timesteps.flags.writeable = False
    return Schedule(
        timesteps=course.timesteps,
        init_noise_sigma=course.init_noise_sigma,
        num_train_timesteps=s["num_train_timesteps"],
        levels=(*course.levels, CLEAN),
        updates=updates,
        first_updates=firsts,
        noise_steps=tuple(sampler.uses_noise(s, len(steps) - 1 - i) for i in steps),
    )
