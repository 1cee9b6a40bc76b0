"""The pictures that tests send, and files of pictures written and read."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image


def picture() -> bytes:
    """A smooth PNG, 136 x 104."""
    y, x = np.mgrid[0:104, 0:136]
    waves = np.stack([np.sin(x / 19), np.cos(y / 13), np.sin((x + y) / 31)], axis=-1)
    return png(waves * 100 + 128)


def mask() -> bytes:
    """Gradients and edges, 136 x 104: what lies between black and white must fall on the right side."""
    y, x = np.mgrid[0:104, 0:136]
    circle = ((x - 60) ** 2 + (y - 50) ** 2 < 900).astype(np.uint8) * 255
    return png(circle | (x > 110) * (y % 256).astype(np.uint8))


def black(width: int, height: int) -> bytes:
    return png(np.zeros((height, width)))


def bomb(edge: int) -> bytes:
    """A one-bit PNG of edge x edge in a few kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    squeeze = zlib.compressobj(9)
    rows = b"".join(squeeze.compress(bytes(1 + (edge + 7) // 8)) for _ in range(edge)) + squeeze.flush()
    header = struct.pack(">IIBBBBB", edge, edge, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def png(pixels: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.asarray(pixels).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def pixels(data: bytes) -> Any:
    """uint8 (height, width, 3) of a picture's file."""
    return np.asarray(opened(data))
