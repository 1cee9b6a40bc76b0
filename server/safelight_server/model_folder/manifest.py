"""Reads safelight.json, what a folder may say beyond its export: defaults, preview map, shared parts."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from safelight_server.arrays import Array
from safelight_server.errors import LoadError

from . import json_file

NAME = "safelight.json"


@dataclass(frozen=True)
class Manifest:
    """All of it is optional.

    `defaults`: steps, guidance_scale. `latent_rgb`: {"matrix": channels x 3, "bias": 3}, latents to RGB in -1..1.
    `shared`: which parts (text_encoder, vae_decoder, ...) are read from a folder beside this one, and its name.
    """

    folder: Path
    steps: int | None = None
    guidance: float | None = None
    latent_rgb: tuple[Array, Array] | None = None
    shared: tuple[tuple[str, str], ...] = ()

    def part(self, name: str) -> Path:
        """The folder of a part: its own, or where it is shared."""
        beside = dict(self.shared).get(name)
        return (self.folder.resolve().parent / beside if beside else self.folder) / name


def read(folder: Path) -> Manifest:
    """The folder's manifest, or an empty one. Raises LoadError where a value is not as above."""
    path = folder / NAME
    try:
        return from_told(folder, json_file.read(path)[1] if os.path.lexists(path) else {})
    except OSError as error:
        raise LoadError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise LoadError(f"{path}: a value is not of its kind: {error}") from None


def from_told(folder: Path, told: Mapping[str, Any]) -> Manifest:
    """What the file's values mean. Some common exception where one is not as above."""
    defaults, shared = told.get("defaults", {}), told.get("shared", {})
    for part in shared:
        if not _is_name(part):
            raise ValueError(f"shared must name parts of a model, not {part!r}")
    for name in shared.values():
        if not _is_name(name):
            raise ValueError(f"shared must name a folder beside this one, not {name!r}")
    steps, guidance = defaults.get("steps"), defaults.get("guidance_scale")
    if not (steps is None or (isinstance(steps, int) and steps >= 1)):
        raise ValueError(f"defaults.steps must be a whole number from 1 on, not {steps!r}")
    if not (guidance is None or (isinstance(guidance, int | float) and guidance >= 0 and math.isfinite(guidance))):
        raise ValueError(f"defaults.guidance_scale must be a number from 0 on, not {guidance!r}")
    return Manifest(
        folder=folder,
        steps=steps,
        guidance=guidance,
        latent_rgb=_latent_rgb(told["latent_rgb"]) if "latent_rgb" in told else None,
        shared=tuple(shared.items()),
    )


def _is_name(text: str) -> bool:
    """Whether it names one thing in a folder, and can stand in a line of text."""
    return Path(text).name == text and text not in ("", ".", "..") and text.isprintable()


def _latent_rgb(told: dict[str, Any]) -> tuple[Array, Array]:
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused below
        matrix, bias = np.array(told["matrix"], np.float32), np.array(told["bias"], np.float32)
    if matrix.ndim != 2 or matrix.shape[1] != 3 or bias.shape != (3,):
        raise ValueError(f"latent_rgb must be channels x 3 and 3 numbers, not {matrix.shape} and {bias.shape}")
    if not (np.isfinite(matrix).all() and np.isfinite(bias).all()):
        raise ValueError("latent_rgb must be finite numbers")
    return matrix, bias
