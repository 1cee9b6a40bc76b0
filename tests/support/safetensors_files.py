"""Writes safetensors files byte by byte, also ones that no library would write."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from math import prod
from pathlib import Path

ONE = {"weight": (2, 3)}


def whole(shapes: Mapping[str, tuple[int, ...]] = ONE, metadata: Mapping[str, str] | None = None) -> bytes:
    """A file of zeros in 16 bits, of these names and shapes."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, shape in shapes.items():
        begin, end = end, end + 2 * prod(shape)
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


def write_header(
    path: Path, shapes: Mapping[str, tuple[int, ...]] = ONE, metadata: Mapping[str, str] | None = None
) -> Path:
    """Writes such a file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(whole(shapes, metadata))
    return path
