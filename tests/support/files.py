"""Files that tests write and look at."""

from __future__ import annotations

import shutil
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


def with_own(part: str, whole: Path, target: Path) -> Path:
    """A model's folder with a copy of one part, to be changed, and no seal. What is compiled of the others, which are
    links, is found by their files."""
    shutil.copytree(whole / part, target / part)
    for other in whole.iterdir():
        if other.name not in (part, "safelight.json"):
            (target / other.name).symlink_to(other)
    return target
