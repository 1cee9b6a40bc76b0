"""Finds a checkpoint, and says what is in it or why it cannot be exported, before any weight is loaded."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from safelight_server.errors import LoadError
from safelight_server.model_folder import json_file
from safelight_server.model_folder.model_config import CLASSES

from . import hub

# The classes of a pipeline's parts that can be converted, and the names of their weight files.
PARTS = {
    "CLIPTextModel": "model",
    "CLIPTextModelWithProjection": "model",
    "UNet2DConditionModel": "diffusion_pytorch_model",
    "AutoencoderKL": "diffusion_pytorch_model",
}
ORDER = ("unet", "text_encoder", "text_encoder_2", "vae")  # the part that is most likely to fail goes first
SMALL = ("text_encoder*/config.json", "unet/config.json", "vae/config.json", "tokenizer*/*", "scheduler/*")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
HEADER = 10**8  # bytes; the format's own limit of a header


@dataclass(frozen=True)
class Source:
    """A checkpoint in the diffusers layout."""

    name: str  # as the command gave it: a folder, or a name on the hub
    revision: str | None
    folder: Path
    index: dict[str, Any]  # model_index.json
    weights: dict[str, list[Path]]  # the files of each part, in the order in which parts are exported

    @property
    def files(self) -> list[Path]:
        """All files that the export depends on."""
        small = [path for part in SMALL for path in sorted(self.folder.glob(part))]
        return [path for paths in self.weights.values() for path in paths] + small

    def parameters(self, part: str) -> int:
        """How many numbers the weights of a part are."""
        return sum(_parameters(path) for path in self.weights[part])


def find(name: str, revision: str | None, *, half: bool, pickles: bool) -> Source:
    """The checkpoint in a local folder, or the one that the hub has under this name. No weight is loaded.

    `half`: files in 16 bits are preferred. `pickles`: weights may be read from pickles where there is nothing else.
    Raises LoadError, one line, for a checkpoint that is not of SDXL's kind or lacks something.
    """
    folder = Path(name) if Path(name).is_dir() else _download(name, revision, half=half, pickles=pickles)
    index = _index(folder)
    parts = [part for part in ORDER if _class(index, part)]
    weights = {}
    for part in parts:
        if _class(index, part) not in PARTS:
            raise LoadError(
                f"{folder}/model_index.json: {part} must be one of {', '.join(PARTS)}, not {_class(index, part)}"
            )
        weights[part] = _weights(folder / part, PARTS[_class(index, part)], half=half, pickles=pickles)
    for part in {"text_encoder_2", "vae", "unet"} - weights.keys():
        raise LoadError(f"{folder}/model_index.json: names no {part}, which every model of SDXL's kind has")
    return Source(name, revision, folder, index, weights)


def _index(folder: Path) -> dict[str, Any]:
    path = folder / "model_index.json"
    try:
        index = json_file.read(path)[1]
    except (OSError, ValueError) as error:
        raise LoadError(f"{path}: a checkpoint in the diffusers layout has it: {error}") from None
    if (folder / "unet" / "openvino_model.xml").exists():
        raise LoadError(f"{folder}: is exported already; serve it with: safelight-server serve --model NAME={folder}")
    if index.get("_class_name") not in CLASSES:
        raise LoadError(f"{path}: _class_name must be one of {', '.join(CLASSES)}, not {index.get('_class_name')!r}")
    return index


def _class(index: dict[str, Any], part: str) -> str:
    value = index.get(part)
    return str(value[1] or "") if isinstance(value, list) and len(value) == 2 else ""


def _weights(folder: Path, stem: str, *, half: bool, pickles: bool) -> list[Path]:
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    found = [folder / name for name in choose(names, stem, half=half, pickles=pickles)]
    if not found:
        raise LoadError(f"{folder}: has no {stem}.safetensors{_pickle_hint(names)}")
    for path in found:
        _parameters(path)
    return found


def _pickle_hint(names: Sequence[str]) -> str:
    pickled = [name for name in names if name.endswith(PICKLES)]
    return f"; {pickled[0]} is a pickle, and can run code: --allow-pickle reads it, weights only" if pickled else ""


def choose(names: Sequence[str], stem: str, *, half: bool, pickles: bool) -> list[str]:
    """The names of a part's weight files among `names`: one file, or all shards, of one variant. Empty: there is none.

    `stem` is the file's name without its variant and suffix; for `half` and `pickles` see `find`.
    """
    variants = (".fp16", "") if half else ("", ".fp16")
    ends = ("safetensors", "bin") if pickles else ("safetensors",)
    for end in ends:
        if end == "bin" and stem == "model":
            stem = "pytorch_model"  # the name that transformers gives to pickles
        for variant in variants:
            if f"{stem}{variant}.{end}" in names:
                return [f"{stem}{variant}.{end}"]
            shards = [name for name in names if name.startswith(f"{stem}{variant}-") and name.endswith(f".{end}")]
            if shards:
                return shards
    return []


def _parameters(path: Path) -> int:
    """How many numbers a weight file holds, by its header. Raises LoadError for a file that is not whole."""
    if path.suffix != ".safetensors":
        return path.stat().st_size // 2
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, HEADER)))
        tensors = [value for name, value in header.items() if name != "__metadata__"]
        end = max(value["data_offsets"][1] for value in tensors)
        if path.stat().st_size != 8 + length + end:
            raise ValueError(f"must have {8 + length + end} bytes, not {path.stat().st_size}")
        return sum(prod(value["shape"]) for value in tensors)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, struct.error, RecursionError) as error:
        raise LoadError(f"{path}: is not a whole safetensors file: {error}") from None


def digests(files: Iterable[Path]) -> dict[str, str]:
    """The SHA-256 of each file, by its name and its folder's: "unet/config.json"."""
    found = {}
    for path in files:
        with path.open("rb") as file:
            found[f"{path.parent.name}/{path.name}"] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _download(name: str, revision: str | None, *, half: bool, pickles: bool) -> Path:
    def wanted(names: Sequence[str]) -> list[str]:
        files = [path for path in names if path.endswith((".json", ".txt"))]
        for part in ORDER:
            inside = [path.removeprefix(f"{part}/") for path in names if path.startswith(f"{part}/")]
            stem = PARTS["CLIPTextModel" if part.startswith("text") else "AutoencoderKL"]
            files += [f"{part}/{file}" for file in choose(inside, stem, half=half, pickles=pickles)]
        return files

    return hub.fetch(name, revision, wanted)
