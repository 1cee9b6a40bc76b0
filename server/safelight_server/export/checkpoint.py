"""Loads one component of a checkpoint with little memory: weights mapped from the file, the others empty shells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from accelerate import init_empty_weights
from safetensors import safe_open

PIECE = 2**30  # bytes read from a file before it is closed and opened anew, which gives its pages back

CLASSES: dict[str, Any] = {
    "AutoencoderKL": diffusers.AutoencoderKL,
    "CLIPTextModel": transformers.CLIPTextModel,
    "CLIPTextModelWithProjection": transformers.CLIPTextModelWithProjection,
    "CLIPTokenizer": transformers.CLIPTokenizer,
    "UNet2DConditionModel": diffusers.UNet2DConditionModel,
}


def pipeline(folder: Path, wanted: str, files: list[Path], dtype: torch.dtype) -> Any:
    """The checkpoint's own pipeline, in which only `wanted` has weights, read from `files`."""
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    parts = {
        name: _part(folder / name, value[1], files if name == wanted else None, dtype)
        for name, value in index.items()
        if isinstance(value, list) and value[1] in CLASSES
    }
    # Parts that are given are not loaded; all others (scheduler, those that are null) are small.
    return getattr(diffusers, index["_class_name"]).from_pretrained(folder, **parts, local_files_only=True)


def _part(folder: Path, name: str, files: list[Path] | None, dtype: torch.dtype) -> Any:
    kind = CLASSES[name]
    if kind is transformers.CLIPTokenizer:
        return kind.from_pretrained(folder)
    if files is not None and kind is not diffusers.UNet2DConditionModel:
        # Small, and the libraries know how older files name their weights.
        return kind.from_pretrained(folder, torch_dtype=dtype, variant=_variant(files))
    with init_empty_weights(include_buffers=False):
        module = _empty(kind, folder)
    if files is not None:
        module.load_state_dict(dict(weights(files, dtype)), assign=True)
    return module


def _empty(kind: Any, folder: Path) -> Any:
    if issubclass(kind, transformers.PreTrainedModel):
        return kind(transformers.CLIPTextConfig.from_pretrained(folder))
    return kind.from_config(kind.load_config(folder))


def _variant(files: list[Path]) -> str | None:
    return "fp16" if ".fp16" in files[0].name else None


def weights(files: list[Path], dtype: torch.dtype) -> Iterator[tuple[str, torch.Tensor]]:
    """Every weight in `dtype`. One that is stored so stays mapped and takes no memory of its own."""
    for path in files:
        if path.suffix != ".safetensors":  # somebody said that pickles may be read; of those, nothing but weights
            stored = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            yield from ((name, value.to(dtype)) for name, value in stored.items())
            continue
        with safe_open(path, "pt") as file:  # type: ignore[no-untyped-call]
            names = list(file.keys())
        while names:
            read = 0
            with safe_open(path, "pt") as file:  # type: ignore[no-untyped-call]
                while names and read < PIECE:
                    name = names.pop()
                    stored = file.get_tensor(name)
                    read += stored.nbytes if stored.dtype != dtype else 0
                    yield name, stored.to(dtype)
