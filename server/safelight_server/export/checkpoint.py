"""Loads one part of a checkpoint with little memory: its weights are mapped, and the other parts have none."""

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

PIECE = 2**30  # after so many bytes a file is closed and opened again, which frees the memory of its pages

CLASSES: dict[str, Any] = {
    "AutoencoderKL": diffusers.AutoencoderKL,
    "CLIPTextModel": transformers.CLIPTextModel,
    "CLIPTextModelWithProjection": transformers.CLIPTextModelWithProjection,
    "CLIPTokenizer": transformers.CLIPTokenizer,
    "UNet2DConditionModel": diffusers.UNet2DConditionModel,
}


def pipeline(folder: Path, wanted: str, files: list[Path], dtype: torch.dtype) -> Any:
    """The checkpoint's own pipeline of diffusers, in which only the part `wanted` has weights, read from `files`.

    Raises OSError, ValueError, RuntimeError, LookupError or TypeError for files that do not fit together.
    """
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    parts = {
        name: _part(folder / name, value[1], files if name == wanted else None, dtype)
        for name, value in index.items()
        if isinstance(value, list) and value[1] in CLASSES
    }
    # from_pretrained loads no part that is given to it; all others (the scheduler, those that are null) are small.
    return getattr(diffusers, index["_class_name"]).from_pretrained(folder, **parts, local_files_only=True)


def _part(folder: Path, name: str, files: list[Path] | None, dtype: torch.dtype) -> Any:
    cls = CLASSES[name]
    if cls is transformers.CLIPTokenizer:
        return cls.from_pretrained(folder)
    if files is not None and cls is not diffusers.UNet2DConditionModel:
        # The whole part is small; and the libraries know how older files name their weights.
        return cls.from_pretrained(folder, torch_dtype=dtype, variant=_variant(files))
    with init_empty_weights(include_buffers=False):
        module = _without_weights(cls, folder)
    if files is not None:
        module.load_state_dict(dict(weights(files, dtype)), assign=True)
    return module


def _without_weights(cls: Any, folder: Path) -> Any:
    if issubclass(cls, transformers.PreTrainedModel):
        return cls(transformers.CLIPTextConfig.from_pretrained(folder))
    return cls.from_config(cls.load_config(folder))


def _variant(files: list[Path]) -> str | None:
    return "fp16" if ".fp16" in files[0].name else None


def weights(files: list[Path], dtype: torch.dtype) -> Iterator[tuple[str, torch.Tensor]]:
    """Every weight's name and value, in `dtype`. A weight that is stored so stays mapped, and takes no memory."""
    for path in files:
        if path.suffix != ".safetensors":  # a pickle, if the command allows them; only weights are read from it
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
