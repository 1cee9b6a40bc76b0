"""Checks LoRAs against a checkpoint by the headers of both, before any weight is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from safelight_server.errors import LoadError

from . import header, reading

PARTS = ("unet", "text_encoder", "text_encoder_2")  # what a LoRA may change


def parts(weights: Mapping[str, Sequence[Path]], files: Iterable[Path]) -> frozenset[str]:
    """The parts of a checkpoint that these LoRAs change. `weights`: the files of each part.

    Raises LoadError, one line, for a LoRA that does not fit the checkpoint.
    """
    files = list(files)
    mine = {part: paths for part, paths in weights.items() if part in PARTS}
    if not files:
        return frozenset()
    if any(path.suffix != ".safetensors" for paths in mine.values() for path in paths):
        return frozenset(mine)  # pickles have no headers; then fusing itself finds out
    targets = {part: _targets(paths) for part, paths in mine.items()}
    return frozenset(layer.part for path in files for layer in reading.layers(path, targets))


def _targets(paths: Sequence[Path]) -> dict[str, header.Shape]:
    shapes = {name: shape for path in paths for name, shape in _header(path).items()}
    return {name.removesuffix(".weight"): shape for name, shape in shapes.items() if name.endswith(".weight")}


def _header(path: Path) -> dict[str, header.Shape]:
    try:
        return header.read(path).shapes
    except LoadError:
        raise LoadError(f"{path}: is not a whole safetensors file") from None
