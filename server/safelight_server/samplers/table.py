"""Samplers as data: for each step of a run, the timestep that the network gets, and the Move for its output.

A sampler is our function for a scheduler of diffusers. Nothing here has state: a Schedule is a value, and
`moves.advance` does the arithmetic of its moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy.typing as npt

from .catalogue import BASES, SPACINGS, Sampler, with_spacings
from .moves import Move
from .names import canonical
from .noise_levels import CLEAN, Level, NoiseLevels
from .prediction import input_scale
from .scheduler_classes import DEFAULTS, Settings
from .scheduler_config import settings

SAMPLERS: dict[str, Sampler] = {name: sampler for base in BASES.items() for name, sampler in with_spacings(*base)}
# For whoever names none of them: all 64 are more than a message can hold beside other bad fields.
NAMES = f"one of {', '.join(BASES)}, some with {', '.join(f'_{ending}' for ending in SPACINGS)}, or an alias of one"


@dataclass(frozen=True, eq=False)
class Schedule:
    """A whole run of n steps, 0 to n - 1; each asks the network once. A job may end before the last."""

    timesteps: npt.NDArray[Any]  # (n,), float32 or int64 as diffusers has them; read-only
    init_noise_sigma: float  # pure noise times this is the sample before step 0
    num_train_timesteps: int
    starts: tuple[int, ...]  # the steps that a job may begin at: one for each of the steps that were asked for
    input_scales: tuple[float, ...]  # n
    levels: tuple[Level, ...]  # n + 1: what a picture is noised to before each step, and after the last
    moves: tuple[tuple[Move, ...], ...]  # n each: for a history of no row, of one, and so on
    noise_steps: tuple[bool, ...]  # n: whether the step takes fresh noise

    def __len__(self) -> int:
        return len(self.timesteps)

    def input_scale(self, i: int) -> float:
        """What the sample before step i is multiplied by to be the network's input: this makes its variance about 1."""
        return self.input_scales[i]

    def noising(self, i: int) -> Level:
        """The level (signal, noise) before step i; signal * clean + noise * n is as noisy. Of i = n: (1, 0)."""
        return self.levels[i]

    def move(self, i: int, rows: int) -> Move:
        """The weights of step i for a history of so many rows; 0: the job, or its model, begins here."""
        return self.moves[rows][i]

    def uses_noise(self, i: int) -> bool:
        """Whether step i takes fresh noise from the generator. diffusers takes it also where its weight is 0."""
        return self.noise_steps[i]


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
        raise ValueError(f"scheduler must be {NAMES}, not {name!r}")
    sampler = SAMPLERS[name]
    options = {"use_karras_sigmas": use_karras_sigmas, "timestep_spacing": timestep_spacing, "eta": eta}
    changes = {key: value for key, value in options.items() if value is not None}
    for key, value in changes.items():
        if value and key not in {**DEFAULTS[sampler.scheduler], **sampler.preset}:
            raise ValueError(f"{key} must be left out for {name}, not {value!r}")
    _check_conditioning(name, sampler, config)
    s = settings(sampler.scheduler, config, {**sampler.preset, **changes})
    if not 1 <= steps <= s["num_train_timesteps"]:
        raise ValueError(f"steps must be in 1..{s['num_train_timesteps']}, not {steps}")
    return _schedule(sampler, s, sampler.noise_levels(s, steps))


def schedulers_for(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The names that a model with this scheduler_config.json can be asked for."""
    return tuple(name for name, sampler in SAMPLERS.items() if is_edm(sampler.scheduler) == is_edm(_class(config)))


def _check_conditioning(name: str, sampler: Sampler, config: Mapping[str, Any]) -> None:
    """Raises ValueError for a sampler that would feed the network what it was not trained on."""
    if "_class_name" in config and is_edm(sampler.scheduler) != is_edm(_class(config)):
        rule = "an EDM scheduler (edm_...)" if is_edm(_class(config)) else "other than EDM's"
        raise ValueError(f"scheduler must be {rule} for a model whose own is {_class(config)}, not {name!r}")


def _class(config: Mapping[str, Any]) -> str:
    return str(config.get("_class_name"))


def is_edm(scheduler: str) -> bool:
    """Whether a class scales the network's input and output as Karras et al. 2022 do."""
    return scheduler in DEFAULTS and "sigma_data" in DEFAULTS[scheduler]


def _schedule(sampler: Sampler, s: Settings, levels: NoiseLevels) -> Schedule:
    count = len(levels.timesteps)
    starts = tuple(range(count) if levels.starts is None else levels.starts)
    begins = [levels.before[i] for i in starts]
    if not all(a.noise * b.signal > b.noise * a.signal for a, b in pairwise(begins)):
        raise ValueError(
            f"steps must be few enough for each to begin with less noise than the one before, not {len(starts)}"
        )
    levels.timesteps.flags.writeable = False
    return Schedule(
        timesteps=levels.timesteps,
        init_noise_sigma=levels.init_noise_sigma,
        num_train_timesteps=s["num_train_timesteps"],
        starts=starts,
        input_scales=tuple(input_scale(s, level) for level in levels.before),
        levels=(*(levels.noising or levels.before), CLEAN),
        moves=tuple(
            tuple(sampler.step(s, levels, i, rows) for i in range(count)) for rows in range(sampler.memory + 1)
        ),
        noise_steps=tuple(sampler.uses_noise(s, levels, i) for i in range(count)),
    )
