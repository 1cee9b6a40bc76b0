"""LoRAs: read from the layouts that trainers write, checked against a checkpoint, and fused into its weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def fuse(module: Any, path: Path, scale: float, part: str = "unet", others: Mapping[str, Any] | None = None) -> None:
    """Adds `scale` times the LoRA in the file `path` to the weights of `module`, in place.

    `others`: the other parts of the pipeline, by name. Layers for them are left to them. Raises LoadError, and changes
    nothing, for a file that is no LoRA or one for another model.
    """
    from . import fusing  # torch is not needed to look into a file

    fusing.fuse(module, path, scale, part, others or {})
