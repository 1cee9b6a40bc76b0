"""Reads safelight.json, the manifest of a model folder: its defaults, its preview map, the parts that it shares."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from safelight_server.arrays import Array
from safelight_server.errors import LoadError

from . import json_file

NAME = "safelight.json"


@dataclass(frozen=True)
class Manifest:
    """What safelight.json says of a model; every key is optional, and other keys are ignored here.

    In the file: `defaults` has steps and guidance_scale; `latent_rgb` has {"matrix": channels x 3, "bias": 3}, which
    makes RGB in -1..1 of latents; `shared` has, for each part (text_encoder, vae_decoder, ...) that is read from a
    folder beside this one, the name of that folder.
    """

    folder: Path
    steps: int | None = None
    guidance: float | None = None
    latent_rgb: tuple[Array, Array] | None = None  # (channels, 3) and (3,)
    shared: tuple[tuple[str, str], ...] = ()  # (part, folder beside)
    seal: str = ""  # of the whole folder, where it has one
    hashes: Mapping[str, str] = field(default_factory=dict)  # SHA-256 of its files, where it has one

    @property
    def unet_hash(self) -> str:
        """The SHA-256 of the UNet's weights; empty where the folder is not sealed."""
        return self.hashes.get("unet/openvino_model.bin", "")

    def part(self, name: str) -> Path:
        """Where a part is read from: a folder in this one, or in the one beside that shares it."""
        beside = dict(self.shared).get(name)
        return (self.folder.resolve().parent / beside if beside else self.folder) / name


def read(folder: Path) -> Manifest:
    """The folder's manifest; an empty one where there is no file. Raises LoadError for a value that is not as above."""
    path = folder / NAME
    try:
        return parse(folder, json_file.read(path)[1] if os.path.lexists(path) else {})
    except OSError as error:
        raise LoadError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise LoadError(f"{path}: a value is not of its kind: {error}") from None


def parse(folder: Path, values: Mapping[str, Any]) -> Manifest:
    """The manifest in the JSON object of safelight.json.

    For a value that is not as Manifest says it raises ValueError, or whatever Python raises for it: TypeError,
    LookupError, AttributeError, ArithmeticError, RecursionError.
    """
    defaults, shared = values.get("defaults", {}), values.get("shared", {})
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
        latent_rgb=_latent_rgb(values["latent_rgb"]) if "latent_rgb" in values else None,
        shared=tuple(shared.items()),
        seal=str(values.get("seal", "")),
        hashes={str(path): str(digest) for path, digest in values.get("files", {}).items()},
    )


def _is_name(text: str) -> bool:
    """Whether the text is the name of one thing in a folder, and can stand in a line of text."""
    return Path(text).name == text and text not in ("", ".", "..") and text.isprintable()


def _latent_rgb(values: dict[str, Any]) -> tuple[Array, Array]:
    with np.errstate(over="ignore"):  # a number that is too large becomes infinite, and is refused below
        matrix, bias = np.array(values["matrix"], np.float32), np.array(values["bias"], np.float32)
    if matrix.ndim != 2 or matrix.shape[1] != 3 or bias.shape != (3,):
        raise ValueError(f"latent_rgb must be channels x 3 and 3 numbers, not {matrix.shape} and {bias.shape}")
    if not (np.isfinite(matrix).all() and np.isfinite(bias).all()):
        raise ValueError("latent_rgb must be finite numbers")
    return matrix, bias
