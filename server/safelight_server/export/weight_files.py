"""Which files hold the weights of a part, among those that lie in its folder: the libraries' own rules.

A folder may have several variants (.fp16), both formats, and what an earlier download or another tool has left. Where
there is an index of shards, it alone says which of them are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from safelight_server.errors import LoadError
from safelight_server.model_folder import json_file

from . import headers

MODEL = "diffusion_pytorch_model"  # the name that diffusers gives to weights; that of transformers is "model"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def choose(names: Sequence[str], stem: str, *, half: bool = False, pickles: bool = False) -> list[str]:
    """The names of a part's weight files among `names`: one file; or an index and its shards. Empty: there is none.

    `stem` is the file's name without variant and suffix. `half`: files in 16 bits are preferred. `pickles`: pickles are
    taken where there is nothing else.
    """
    for single, indexes, shards in _layouts(stem, half, pickles):
        index = next((index for index in indexes if index in names), None)
        # diffusers asks for the index first, and transformers for the single file.
        if single in names and (index is None or stem != MODEL):
            return [single]
        if index:
            return [index, *(name for name in names if shards.fullmatch(name))]
    return []


def _layouts(stem: str, half: bool, pickles: bool) -> Iterator[tuple[str, tuple[str, str], re.Pattern[str]]]:
    """For each format and variant, the best first: the name of one file, those of an index, the pattern of shards."""
    variants = (".fp16", "") if half else ("", ".fp16")
    for end in ("safetensors", "bin") if pickles else ("safetensors",):
        name = "pytorch_model" if (end, stem) == ("bin", "model") else stem  # so transformers calls pickles
        for variant in variants:
            v = re.escape(variant)
            indexes = (f"{name}.{end}.index{variant}.json", f"{name}{variant}.{end}.index.json")
            pattern = rf"{name}({v}-\d+-of-\d+|-\d+-of-\d+{v})\.{end}"
            yield f"{name}{variant}.{end}", indexes, re.compile(pattern)


def find(folder: Path, stem: str, *, half: bool = False, pickles: bool = False) -> list[Path]:
    """The weight files of the part in a folder, which are all there and whole. For the options see `choose`.

    Raises LoadError, one line, for what is missing, half downloaded, or a pickle that was not allowed.
    """
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    chosen = choose(names, stem, half=half, pickles=pickles)
    if not chosen:
        raise LoadError(f"{folder}: has no {stem}.safetensors{_hint(names, stem)}")
    files = [folder / name for name in (_shards(folder / chosen[0]) if chosen[0].endswith(".json") else chosen)]
    for path in files:
        if not path.is_file():
            raise LoadError(f"{path}: is missing, and {chosen[0]} lists it; was the download stopped?")
        parameters(path)
    return files


def _shards(index: Path) -> list[str]:
    try:
        names = sorted(set(json_file.read(index)[1]["weight_map"].values()))
        if not names or any(Path(name).name != name for name in names):
            raise ValueError("it must map weights to files beside it")
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise LoadError(f"{index}: is no index of shards: {error}") from None
    return names


def _hint(names: Sequence[str], stem: str) -> str:
    if pickled := [name for name in names if name.endswith(PICKLES)]:
        return f"; {pickled[0]} is a pickle, and can run code: --allow-pickle reads it, weights only"
    if shards := [name for name in names if name.startswith(f"{stem}-") and name.endswith(".safetensors")]:
        return f"; {shards[0]} is a shard, and the index of shards is missing; was the download stopped?"
    if incomplete := [name for name in names if name.endswith(".incomplete")]:
        return f"; {incomplete[0]} is half a download"
    return ""


def parameters(path: Path) -> int:
    """How many numbers a weight file holds; of a pickle, about. Raises LoadError for a file that is not whole."""
    if path.suffix == ".safetensors":
        return headers.read(path).parameters
    with path.open("rb") as file:
        headers.refuse_impostor(path, file.read(64))
    return path.stat().st_size // 2
