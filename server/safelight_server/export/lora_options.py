"""What the command's --lora, --lora-scale, --scheduler, --steps and --guidance ask for, taken together."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from safelight_server.errors import LoadError

from . import headers, hub, recipes

MOST = 10  # of a strength; more is a slip of the hand
NAMES = (*recipes.SCHEDULERS, *(name for name in recipes.RECIPES if name not in recipes.SCHEDULERS))


def loras_from(given: Sequence[str], scale: float) -> tuple[tuple[Path, float], ...]:
    """Each LoRA's file and strength; `scale` is that of those which name none. Raises LoadError."""
    if not abs(scale) <= MOST:
        raise LoadError(f"--lora-scale must be from -{MOST} to {MOST}, not {scale:g}")
    return tuple((hub.lora(name), strength) for name, strength in (split(text, scale) for text in given))


def split(text: str, scale: float) -> tuple[str, float]:
    """A LoRA's name and strength in "FILE:0.8"; a file whose name is the whole text is that. Raises LoadError."""
    name, colon, last = text.rpartition(":")
    if not colon or not name or "/" in last or Path(text).exists():  # "https:" is no file
        return text, scale
    try:
        strength = float(last)
    except ValueError:
        raise LoadError(f"--lora must be FILE or FILE:STRENGTH, and {last!r} in {text} is no number") from None
    if not abs(strength) <= MOST:
        raise LoadError(f"--lora FILE:STRENGTH must have a strength from -{MOST} to {MOST}, not {last}")
    return name, strength


def defaults_from(arguments: argparse.Namespace, files: Sequence[Path]) -> tuple[str, int | None, float | None]:
    """The scheduler (as recipes.scheduler_named gives it), the steps and the guidance. Raises LoadError for a bad one.

    What is not asked for comes from a LoRA that is known as a distillation to few steps. No other LoRA changes any.
    """
    named, steps, guidance = arguments.scheduler, arguments.steps, arguments.guidance
    if named is not None and named not in recipes.RECIPES and recipes.scheduler_named(named) is None:
        raise LoadError(f"--scheduler must be one of {', '.join(NAMES)}, or a name of docs/schedulers.md, not {named}")
    if steps is not None and not 1 <= steps <= 1000:
        raise LoadError(f"--steps must be from 1 to 1000, not {steps}")
    if guidance is not None and not 0 <= guidance <= 100:
        raise LoadError(f"--guidance must be from 0 to 100, not {guidance:g}")
    found, name = _recipe(arguments.lora, files)
    recipe = None if named == recipes.KEEP else named if named in recipes.RECIPES else found
    if recipe is not None:
        steps = recipes.steps(recipe, name) if steps is None else steps
        guidance = recipes.RECIPES[recipe].guidance if guidance is None else guidance
    asked = recipes.scheduler_named(named) if named is not None else None
    return asked or (recipes.RECIPES[recipe].scheduler if recipe else recipes.KEEP), steps, guidance


def _recipe(given: Sequence[str], files: Sequence[Path]) -> tuple[str | None, str]:
    """The recipe of the first LoRA that is a distillation, and its file's name."""
    for text, path in zip(given, files, strict=True):
        metadata = headers.read(path).metadata if path.is_file() else {}
        if recipe := recipes.of_lora(split(text, 1.0)[0], path, metadata):
            return recipe, path.stem
    return None, files[0].stem if files else ""
