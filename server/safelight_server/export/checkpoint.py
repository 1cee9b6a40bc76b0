"""Loads one part of a checkpoint with little memory: its weights are mapped, and the other parts have none."""

from __future__ import annotations

import inspect
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import diffusers
import torch
import transformers
from accelerate import init_empty_weights

from . import headers, single_file
from .source import PARTS
from .tensors import unpickled, weights

CLASSES: dict[str, Any] = {
    "AutoencoderKL": diffusers.AutoencoderKL,
    "CLIPTextModel": transformers.CLIPTextModel,
    "CLIPTextModelWithProjection": transformers.CLIPTextModelWithProjection,
    "CLIPTokenizer": transformers.CLIPTokenizer,
    "UNet2DConditionModel": diffusers.UNet2DConditionModel,
}
NEEDED = ("vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "unet")  # of a pipeline


def pipeline(folder: Path, wanted: str, files: list[Path], dtype: torch.dtype, *, single: bool = False) -> Any:
    """The checkpoint's own pipeline of diffusers, in which only the part `wanted` has weights, read from `files`.

    What is not exported is left out: an image encoder, the scheduler. `single`: the weights are in a single file, under
    the names of the original code. Raises OSError, ValueError, RuntimeError, LookupError or TypeError for files that do
    not fit together.
    """
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    parts: dict[str, Any] = dict.fromkeys(NEEDED)
    for name in NEEDED:
        if isinstance(index.get(name), list) and index[name][1] in CLASSES:
            parts[name] = _part(folder / name, index[name][1], files if name == wanted else None, dtype, single)
    cls = getattr(diffusers, index["_class_name"])
    flags = {key: index[key] for key in inspect.signature(cls).parameters if isinstance(index.get(key), bool)}
    return cls(**flags, **parts, scheduler=diffusers.EulerDiscreteScheduler())


def _part(folder: Path, name: str, files: list[Path] | None, dtype: torch.dtype, single: bool) -> Any:
    cls = CLASSES[name]
    if cls is transformers.CLIPTokenizer:
        return cls.from_pretrained(folder)
    if files is not None and not single and cls is not diffusers.UNet2DConditionModel:
        # The whole part is small; and the libraries know how older files name their weights.
        with alone(folder, PARTS[name], files) as chosen:
            return cls.from_pretrained(chosen, torch_dtype=dtype)
    module = skeleton(folder, name)
    if files is not None:
        state = single_file.weights(files[0], folder.name, config(folder), dtype) if single else weights(files, dtype)
        module.load_state_dict(dict(state), assign=True)
        module.to(dtype)  # the buffers, which no file has
    return module


def skeleton(folder: Path, name: str) -> Any:
    """A part of the class `name` without weights, as its configuration says."""
    cls = CLASSES[name]
    with init_empty_weights(include_buffers=False):
        if issubclass(cls, transformers.PreTrainedModel):
            return cls(transformers.CLIPTextConfig.from_pretrained(folder))
        return cls.from_config(cls.load_config(folder))


def config(folder: Path) -> Mapping[str, Any]:
    """The configuration of a part."""
    values: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return values


@contextmanager
def alone(folder: Path, stem: str, files: list[Path]) -> Iterator[Path]:
    """A folder with links to a part's configuration and to these weights, and with nothing that lies beside them."""
    if files[0].suffix != ".safetensors" and stem == "model":
        stem = "pytorch_model"
    with TemporaryDirectory(prefix="safelight-") as name:
        chosen = Path(name)
        _link(chosen / "config.json", folder / "config.json")
        if len(files) == 1:
            _link(chosen / f"{stem}{files[0].suffix}", files[0])
        else:
            for path in files:
                _link(chosen / path.name, path)
            index = {"metadata": {}, "weight_map": {key: path.name for path in files for key in _names(path)}}
            (chosen / f"{stem}{files[0].suffix}.index.json").write_text(json.dumps(index), encoding="utf-8")
        yield chosen


def _link(place: Path, file: Path) -> None:
    try:
        place.symlink_to(file.absolute())
    except OSError:  # Windows lets only some users make links
        shutil.copyfile(file, place)


def _names(path: Path) -> Iterable[str]:
    return headers.read(path).shapes if path.suffix == ".safetensors" else unpickled(path)
