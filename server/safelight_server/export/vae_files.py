"""Finds the VAE that --vae names: a folder of diffusers, a whole checkpoint's, or a file of the original code's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safelight_server.errors import LoadError

from . import hub, single_file, small_files, weight_files
from .single_file import contents


@dataclass(frozen=True)
class Vae:
    """An AutoencoderKL."""

    config: dict[str, Any]  # its config.json
    files: list[Path]  # its weights
    single: bool  # they have the names of the original code


def find(name: str, *, half: bool, pickles: bool) -> Vae:
    """The VAE. Raises LoadError, one line, for what is none."""

    def wanted(names: Sequence[str]) -> list[str]:
        start = "" if "config.json" in names or "vae/config.json" not in names else "vae/"
        inside = [path.removeprefix(start) for path in names if path.startswith(start)]
        files = weight_files.choose(inside, weight_files.MODEL, half=half, pickles=pickles)
        if files:
            return [f"{start}config.json", *(f"{start}{file}" for file in files)]
        return [hub.one(name, [path for path in names if path.endswith(".safetensors")], "a VAE")]

    path = hub.find(name, None, wanted)
    if path.is_dir() and not (path / "config.json").is_file() and (path / "vae").is_dir():
        path = path / "vae"
    if path.is_dir() and not (path / "config.json").is_file():
        files = sorted(file.name for file in path.glob("*.safetensors"))
        path = path / hub.one(name, files, "a VAE")
    return _of_file(path, pickles=pickles) if path.is_file() else _of_folder(path, half=half, pickles=pickles)


def _of_folder(folder: Path, *, half: bool, pickles: bool) -> Vae:
    config = small_files.read(folder / "config.json")
    if config.get("_class_name") != "AutoencoderKL":
        raise LoadError(f"{folder}: --vae must be an AutoencoderKL, not {config.get('_class_name')!r}")
    return Vae(config, weight_files.find(folder, weight_files.MODEL, half=half, pickles=pickles), single=False)


def _of_file(path: Path, *, pickles: bool) -> Vae:
    shapes = contents.read(path, pickles=pickles).shapes
    beside = path.parent / "config.json"
    if any(name.startswith("encoder.down_blocks.") for name in shapes):
        if not beside.is_file():
            raise LoadError(f"{path}: must have its config.json beside it; give the folder with both")
        return Vae(small_files.read(beside), [path], single=False)
    try:
        return Vae(single_file.vae_config(path, shapes), [path], single=True)
    except (LookupError, ValueError) as error:
        raise LoadError(f"{path}: --vae must be a VAE of SDXL's kind: {error}") from None
