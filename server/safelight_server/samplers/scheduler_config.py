"""What a scheduler_config.json means to a scheduler class of diffusers, and which of its values are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .scheduler_classes import CHOICES, CHOICES_OF_CLASS, DEFAULTS, HIDDEN, RANGES, TAKEN_FOR, TINY, Settings


def settings(scheduler: str, config: Mapping[str, Any], changes: Settings) -> Settings:
    """All settings of a class (a key of DEFAULTS), checked.

    `changes` win over `config`, the values of a file, and these over the defaults. ValueError names the key, the rule
    and the value.
    """
    known = {**DEFAULTS[scheduler], **HIDDEN.get(scheduler, {})}
    merged = {**known, **_read(scheduler, config, known), **changes}
    choices = {**CHOICES, **CHOICES_OF_CLASS.get(scheduler, {})}
    for key, value in merged.items():
        if key in choices and value not in choices[key]:
            rule = " or ".join(repr(choice) for choice in choices[key])
            raise ValueError(f"{key} must be {rule} for {scheduler}, not {value!r}")
        if key in RANGES and not (value is None and known.get(key, 0) is None):
            _check_number(key, value, *RANGES[key])
    _check_together(merged)
    _check_betas(merged.get("trained_betas"), merged["num_train_timesteps"])
    return merged


def _read(scheduler: str, config: Mapping[str, Any], known: Settings) -> Settings:
    """What the class makes of the values of a file that it knows."""
    taken = TAKEN_FOR.get(scheduler, {})
    held = {key: config[key] for key in known if key in config}
    return {
        key: taken[key].get(value, value) if key in taken and isinstance(value, str) else value
        for key, value in held.items()
    }


def _check_together(s: Settings) -> None:
    """Raises ValueError for values that are allowed alone but not beside others."""
    spacings = [key for key in ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas") if s.get(key)]
    if len(spacings) > 1:
        raise ValueError(f"{spacings[0]} must be False where {spacings[1]} is True, not True")
    if s.get("algorithm_type") == "sde-dpmsolver++" and s["solver_order"] == 3:
        raise ValueError("solver_order must be 1 or 2 where algorithm_type is 'sde-dpmsolver++', not 3")
    left_out = s.get("disable_corrector", [])
    if not isinstance(left_out, list) or not all(type(step) is int for step in left_out):
        raise ValueError(f"disable_corrector must be a list of integers, not {left_out!r}")


def _check_number(key: str, value: Any, number: type, low: float, high: float) -> None:
    types = (int,) if number is int else (int, float)
    if not isinstance(value, types) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(
            f"{key} must be {'an integer' if number is int else 'a number'} in {low:g}..{high:g}, not {value!r}"
        )


def _check_betas(betas: Any, count: int) -> None:
    if betas is None:
        return
    if not isinstance(betas, list) or len(betas) != count:
        held = len(betas) if isinstance(betas, list) else repr(betas)
        raise ValueError(f"trained_betas must be a list of num_train_timesteps ({count}) numbers, not {held}")
    for index, beta in enumerate(betas):
        _check_number(f"trained_betas[{index}]", beta, float, TINY, 1 - TINY)
