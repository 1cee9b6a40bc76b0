"""Writes what an exported folder says of itself: its index, its scheduler, and where all of it came from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safelight_server.errors import LoadError
from safelight_server.model_folder import json_file, model_config
from safelight_server.model_folder.manifest import NAME
from safelight_server.samplers.table import is_edm

from . import int8
from . import source as sources
from .plan import Options, measured
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
            **_quantized(options, folder),
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
    return changes


def _quantized(options: Options, folder: Path) -> dict[str, Any]:
    """How it was quantized, and what was measured of each graph and of the pictures, on the exporter's processor."""
    found = {part: folder / part / int8.RECORD for part in options.int8}
    parts = {part: json_file.read(path)[1] for part, path in found.items() if path.exists()}
    if not parts:
        return {}
    told: dict[str, Any] = {"int8": {part: record["mode"] for part, record in parts.items()}}
    if int8.calibrates(options.int8):
        prompts = next(iter(sources.digests([options.prompts]).values())) if options.prompts else "the tool's own"
        pictures = json_file.read(measured(folder))[1]
        told["calibration"] = {"samples": options.samples, "prompts": prompts}
        told["int8_measured"] = {"parts": {part: short(one) for part, one in parts.items()}, "pictures": pictures}
    return told


def short(record: dict[str, Any]) -> dict[str, Any]:
    """A graph's record without its long list."""
    kept = {"kept": len(record["kept"])} if "kept" in record else {}
    return {name: value for name, value in record.items() if name != "mode"} | kept


def lines(measured: dict[str, Any]) -> list[str]:
    """What was measured of the quantization, to read; none where nothing was."""
    found = [
        f"int8 {part}: relative error {one['error']:.4f}"
        + (
            f"; {one['kept']} of {one['roundings']} in floating point, {one['kept_work']:.1%} of the work"
            if "kept" in one
            else ""
        )
        for part, one in measured.get("parts", {}).items()
        if "error" in one
    ]
    if pictures := measured.get("pictures"):
        decibels, likeness = pictures["psnr"], pictures["ssim"]
        found.append(
            f"int8, {pictures['count']} pictures against f32: PSNR {decibels['median']} dB, worst {decibels['worst']}; "
            f"SSIM {likeness['median']}, worst {likeness['worst']}"
        )
    return found
