"""Finds a checkpoint, and says what is in it or why it cannot be exported, before any weight is loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any

from safelight_server.errors import LoadError
from safelight_server.model_folder import json_file
from safelight_server.model_folder.model_config import CLASSES

from . import headers, hub, single_file, small_files, vae_files, weight_files

# The classes of a pipeline's parts that can be converted, and the names of their weight files.
PARTS = {
    "CLIPTextModel": "model",
    "CLIPTextModelWithProjection": "model",
    "UNet2DConditionModel": "diffusion_pytorch_model",
    "AutoencoderKL": "diffusion_pytorch_model",
}
ORDER = ("unet", "text_encoder", "text_encoder_2", "vae")  # the part that is most likely to fail goes first
SCHEDULER = "scheduler/scheduler_config.json"


@dataclass(frozen=True)
class Source:
    """A checkpoint, in the diffusers layout or in one file."""

    name: str  # as the command gave it: a folder, a file, or a name on the hub
    revision: str | None
    folder: Path  # in the diffusers layout, but for the weights
    index: dict[str, Any]  # model_index.json
    weights: dict[str, list[Path]]  # the files of each part, in the order in which parts are exported
    single: Mapping[str, Path] = field(default_factory=dict)  # of each part in a single file: that file
    written: Mapping[str, bytes] = field(default_factory=dict)  # small files that are yet to be written to `folder`

    @property
    def small(self) -> dict[str, bytes]:
        """The small files that the export depends on, by their paths in `folder`."""
        if self.written:
            return dict(self.written)
        found = [path for pattern in small_files.PATTERNS for path in sorted(self.folder.glob(pattern))]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in found}

    @property
    def small_digest(self) -> str:
        """It changes when a small file does."""
        digest = hashlib.sha256()
        for name, content in sorted(self.small.items()):
            digest.update(f"{name} {len(content)} ".encode() + content)
        return digest.hexdigest()

    def shapes(self) -> dict[str, dict[str, tuple[int, ...]]]:
        """The shape of each weight of each part, by its name in diffusers; none for a part that is in pickles."""
        return {part: self._shapes(part) for part in self.weights}

    def _shapes(self, part: str) -> dict[str, tuple[int, ...]]:
        if part in self.single:
            return single_file.shapes(self.single[part], part, self.read(f"{part}/config.json"))
        if any(path.suffix != ".safetensors" for path in self.weights[part]):
            return {}
        return {name: shape for path in self.weights[part] for name, shape in headers.read(path).shapes.items()}

    def parameters(self, part: str) -> int:
        """How many numbers the weights of a part are."""
        if part in self.single:
            return sum(map(prod, self._shapes(part).values()))
        return sum(weight_files.parameters(path) for path in self.weights[part])

    def digests(self) -> dict[str, str]:
        """The SHA-256 of each file that the export depends on, by its name and its folder's: "unet/config.json"."""
        weights = digests(path for part, paths in self.weights.items() if part not in self.single for path in paths)
        for file in set(self.single.values()):
            weights |= single_file.digests(file, [part for part, path in self.single.items() if path == file])
        return weights | {name: hashlib.sha256(content).hexdigest() for name, content in self.small.items()}

    def content(self, path: str) -> bytes:
        """A small file, which was found to be there."""
        return self.written[path] if path in self.written else (self.folder / path).read_bytes()

    def read(self, path: str) -> dict[str, Any]:
        """A JSON file of `folder`, written or yet to be. Raises LoadError for a file that cannot be read."""
        return dict(json.loads(self.written[path])) if path in self.written else small_files.read(self.folder / path)

    def placed(self, folder: Path) -> Source:
        """This, with its small files in a folder of the export's own, if they are in none yet."""
        return replace(self, folder=folder) if self.written else self

    def write(self) -> None:
        """Writes the small files that are in no folder yet."""
        for name, content in self.written.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(content)


def find(name: str, revision: str | None, *, half: bool, pickles: bool, vae: str | None = None) -> Source:
    """The checkpoint in a local folder or file, or the one that the hub has under this name. No weight is loaded.

    `half`: files in 16 bits are preferred. `pickles`: weights may be read from pickles where there is nothing else.
    `vae`: a VAE that takes the place of the checkpoint's own: a folder, a file or a name.
    Raises LoadError, one line, for a checkpoint that is not of SDXL's kind or lacks something.
    """
    found = _download(name, revision, half=half, pickles=pickles)
    if found.is_file():
        source = _of_file(found, name, revision, pickles=pickles)
    else:
        source = _of_folder(found, name, revision, half=half, pickles=pickles, without=("vae",) if vae else ())
    if vae:
        source = _with_vae(source, vae, half=half, pickles=pickles)
    for part in ("text_encoder_2", "vae", "unet"):
        if part not in source.weights:
            hint = "; --vae takes one from elsewhere" if part == "vae" else ""
            raise LoadError(f"{found}: has no {part}, which every model of SDXL's kind has{hint}")
    return source


def _of_file(path: Path, name: str, revision: str | None, *, pickles: bool) -> Source:
    told = single_file.describe(path, pickles=pickles)
    parts = [part for part in ORDER if part in told.parts]
    small = {"model_index.json": _json(told.index), **told.small}
    single = dict.fromkeys(parts, path)
    return Source(name, revision, path.parent, told.index, {part: [path] for part in parts}, single, small)


def _of_folder(
    folder: Path, name: str, revision: str | None, *, half: bool, pickles: bool, without: Sequence[str]
) -> Source:
    index = _index(folder)
    weights = {}
    for part in (part for part in ORDER if _class(index, part) and part not in without):
        if _class(index, part) not in PARTS:
            raise LoadError(
                f"{folder}/model_index.json: {part} must be one of {', '.join(PARTS)}, not {_class(index, part)}"
            )
        weights[part] = weight_files.find(folder / part, PARTS[_class(index, part)], half=half, pickles=pickles)
    small_files.check(folder, weights)
    return Source(name, revision, folder, index, weights)


def _with_vae(source: Source, name: str, *, half: bool, pickles: bool) -> Source:
    """The checkpoint with another VAE; its small files are now to be written, since that VAE's must be among them."""
    found = vae_files.find(name, half=half, pickles=pickles)
    index = source.index | {"vae": ["diffusers", "AutoencoderKL"]}
    small = source.small | {"model_index.json": _json(index), "vae/config.json": _json(found.config)}
    single = {part: path for part, path in source.single.items() if part != "vae"}
    single |= {"vae": found.files[0]} if found.single else {}
    weights = source.weights | {"vae": found.files}
    return replace(source, index=index, written=small, single=single, weights=weights)


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()


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


def digests(files: Iterable[Path]) -> dict[str, str]:
    """The SHA-256 of each file, by its name and its folder's: "unet/config.json"."""
    found = {}
    for path in files:
        with path.open("rb") as file:
            found[f"{path.parent.name}/{path.name}"] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _download(name: str, revision: str | None, *, half: bool, pickles: bool) -> Path:
    """The folder or the file that `name` says, fetched where it is on the hub."""

    def wanted(names: Sequence[str]) -> list[str]:
        if "model_index.json" not in names:
            return [hub.one(name, _single_files(names), "a checkpoint of SDXL's kind")]
        files = [path for path in names if small_files.is_one(path)]
        for part in ORDER:
            inside = [path.removeprefix(f"{part}/") for path in names if path.startswith(f"{part}/")]
            stem = PARTS["CLIPTextModel" if part.startswith("text") else "AutoencoderKL"]
            files += [f"{part}/{file}" for file in weight_files.choose(inside, stem, half=half, pickles=pickles)]
        return files

    found = hub.find(name, revision, wanted)
    if not found.is_dir() or (found / "model_index.json").exists():
        return found
    singles = _single_files(sorted(path.name for path in found.iterdir()))
    return found / hub.one(name, singles, "a checkpoint of SDXL's kind") if singles else found


def _single_files(names: Sequence[str]) -> list[str]:
    return [name for name in names if "/" not in name and name.endswith((".safetensors", ".ckpt"))]
