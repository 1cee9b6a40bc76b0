"""Files that tests write and look at."""

from __future__ import annotations

from pathlib import Path

from PIL import Image


def written(path: Path, data: bytes) -> Path:
    """The path, once the bytes are there."""
    path.write_bytes(data)
    return path


def opened(path: Path | str) -> Image.Image:
    """The picture in a file, decoded; the file is closed."""
    with Image.open(path) as image:
        image.load()
        return image
