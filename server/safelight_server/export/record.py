"""Writes what an exported folder says of itself: its index, its scheduler, and where all of it came from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safelight_server.errors import LoadError
from safelight_server.model_folder import model_config
from safelight_server.model_folder.manifest import NAME
from safelight_server.samplers.table import is_edm

from . import source as sources
from .plan import Options
from .recipes import changes
from .source import ORDER, SCHEDULER, Source

# What model_index.json goes on naming: an image encoder, for example, is not exported.
EXPORTED = (*ORDER, "tokenizer", "tokenizer_2", "scheduler")
VERSIONS = ("openvino", "optimum-intel", "diffusers", "transformers", "torch", "nncf", "safelight-server")


def describe(source: Source, options: Options, folder: Path, shared: dict[str, str]) -> None:
    """Writes all files but the parts': the index, the scheduler and a first manifest, which calibration needs.

    Raises LoadError for a checkpoint whose scheduler cannot be read.
    """
    index = {key: value for key, value in source.index.items() if key in EXPORTED or not isinstance(value, list)}
    index.pop("_name_or_path", None)
    scheduler = source.read(SCHEDULER)
    if changed := changes(options.scheduler):
        _check_kind(scheduler, changed["_class_name"])
        scheduler |= changed
        index["scheduler"] = ["diffusers", changed["_class_name"]]
    (folder / "scheduler").mkdir(exist_ok=True)
    _write(folder / SCHEDULER, scheduler)
    _write(folder / "model_index.json", index)
    _write(folder / NAME, {"shared": shared, "defaults": _defaults(options)})


def _check_kind(scheduler: dict[str, Any], chosen: str) -> None:
    """Raises LoadError for a class that would feed the network what it was not trained on."""
    own = str(scheduler.get("_class_name"))
    if is_edm(own) != is_edm(chosen):
        raise LoadError(f"--scheduler must be {'one of EDM' if is_edm(own) else 'none of EDM'} where it was {own}")


def _defaults(options: Options) -> dict[str, Any]:
    """What was asked for; for the rest, the server goes by the scheduler."""
    asked = {"steps": options.steps, "guidance_scale": options.guidance}
    return {name: value for name, value in asked.items() if value is not None}


def _write(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def manifest(
    source: Source,
    options: Options,
    folder: Path,
    shared: dict[str, str],
    hashes: dict[str, str],
    fused: Sequence[str] = (),
) -> dict[str, Any]:
    """The values of safelight.json without its seal. `hashes`: the SHA-256 of the checkpoint's files; `fused`: the
    parts that LoRAs change.

    Raises LoadError for a folder that is no model.
    """
    config = model_config.read(folder)
    values: dict[str, Any] = {
        "defaults": {"steps": config.steps, "guidance_scale": config.guidance},
        "shared": shared,
        "source": {
            # Of what is here only its own name, not its path: that would tell strangers how this disk is organised.
            "name": Path(source.name).resolve().name if Path(source.name).exists() else source.name,
            "revision": source.revision,
            "precision": options.precision,
            "scheduler": config.scheduler,
            "native_size": [config.native_edge, config.native_edge],
            "files": hashes,
            **({"fused": list(fused)} if fused else {}),
            **_changes(options),
        },
        "versions": {name: version(name) for name in VERSIONS},
    }
    if config.latent_rgb is not None:
        values["latent_rgb"] = {"matrix": config.latent_rgb[0].tolist(), "bias": config.latent_rgb[1].tolist()}
    return values


def _changes(options: Options) -> dict[str, Any]:
    """What was done to the checkpoint's weights."""
    changes: dict[str, Any] = {}
    loras = [
        {"file": path.name, "sha256": next(iter(sources.digests([path]).values())), "scale": strength}
        for path, strength in options.loras
    ]
    if loras:
        changes["lora"] = loras[0] if len(loras) == 1 else loras
    if options.int8 or options.int8_vae:
        modes = {"unet": options.int8, "vae_decoder": "ptq" if options.int8_vae else None}
        prompts = next(iter(sources.digests([options.prompts]).values())) if options.prompts else "the tool's own"
        changes["int8"] = {part: mode for part, mode in modes.items() if mode}
        changes["calibration"] = {"samples": options.samples, "prompts": prompts}
    return changes
