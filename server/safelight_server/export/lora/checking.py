"""Checks LoRAs against a checkpoint by the headers of both, before any weight is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from safelight_server.export.headers import Shape

from . import reading
from .names import PARTS, targets_of


def parts(shapes: Mapping[str, Mapping[str, Shape]], files: Iterable[Path]) -> frozenset[str]:
    """The parts of a checkpoint that these LoRAs change. `shapes`: of each part's weights; none where they are pickles.

    Raises LoadError, one line, for a LoRA that does not fit the checkpoint.
    """
    files = list(files)
    mine = {part: weights for part, weights in shapes.items() if part in PARTS}
    if not files:
        return frozenset()
    if not all(mine.values()):
        return frozenset(mine)  # pickles have no headers; then fusing itself finds out
    targets = {part: targets_of(weights) for part, weights in mine.items()}
    return frozenset(layer.part for path in files for layer in reading.layers(path, targets))
