"""Reads the header of a safetensors file: the shape of each tensor, and the metadata. No tensor is loaded."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safelight_server.errors import LoadError

Shape = tuple[int, ...]
LONGEST = 10**8  # bytes; the format's own limit of a header


@dataclass(frozen=True)
class Header:
    """What a safetensors file says of itself."""

    path: Path
    shapes: dict[str, Shape]
    metadata: dict[str, str]


def read(path: Path) -> Header:
    """The header of a file. Raises LoadError, one line, for one that is not whole."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, LONGEST)))
        metadata: dict[str, Any] = header.pop("__metadata__", {})
        end = max(value["data_offsets"][1] for value in header.values())
        if path.stat().st_size != 8 + length + end:
            raise ValueError(f"must have {8 + length + end} bytes, not {path.stat().st_size}")
        shapes = {name: tuple(map(int, value["shape"])) for name, value in header.items()}
        return Header(path, shapes, {str(key): str(value) for key, value in metadata.items()})
    except (OSError, ValueError, LookupError, TypeError, AttributeError, struct.error, RecursionError) as error:
        raise LoadError(f"{path}: cannot be read as a LoRA in safetensors: {error}") from None
