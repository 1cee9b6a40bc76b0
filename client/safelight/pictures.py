"""Picture files that the server has made, and how they are written."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from PIL import Image

Format = Literal["png", "jpeg", "webp"]

SUFFIXES = {"png": (".png",), "jpeg": (".jpg", ".jpeg"), "webp": (".webp",)}


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A finished picture, as the file that the server made."""

    index: int  # in its job, from 0
    seed: int  # gives this picture again, alone
    format: str  # "png", "jpeg" or "webp"
    data: bytes = field(repr=False)  # the file
    width: int  # pixels
    height: int
    finished_early_at_step: int | None = None  # made of what was there after this step; None: all were taken
    receipt: dict[str, Any] | None = field(default=None, repr=False, hash=False)  # what it was drawn by, as ProtoJSON

    @cached_property
    def image(self) -> Image.Image:
        """The picture, decoded when first asked for."""
        return open_image(self.data)

    def _repr_png_(self) -> bytes | None:
        """For notebooks, which show no WebP by themselves."""
        return None if self.format == "jpeg" else self.data if self.format == "png" else _encode(self.data, ".png")

    def _repr_jpeg_(self) -> bytes | None:
        return self.data if self.format == "jpeg" else None

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the file to `path` as `save_picture` does, and returns where it is."""
        return save_picture(path, self.data, self.format)


def open_image(data: bytes) -> Image.Image:
    """The Pillow image in a picture file, decoded. Raises OSError for what is no picture."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def save_picture(path: str | os.PathLike[str], data: bytes, format: str) -> Path:
    """Writes a picture file whole or not at all, and returns its path.

    The bytes stay as they are when the suffix fits `format` or there is none (so a PNG keeps its text chunks); for
    another suffix the picture is encoded again. Raises ValueError for a suffix that Pillow does not know.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix and suffix not in SUFFIXES.get(format, ()):
        data = _encode(data, suffix)
    write_whole(target, data)
    return target


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file and moves it into its place, so that nobody ever reads half of it. Raises OSError."""
    if path.exists() and not path.is_file():
        # A pipe or a device is written to, not replaced; and what /dev/stdout links to may have no path at all.
        path.write_bytes(data)
        return
    target = path.resolve()
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _encode(data: bytes, suffix: str) -> bytes:
    encoder = Image.registered_extensions().get(suffix)
    if encoder is None:
        raise ValueError(f"cannot tell a picture format from the suffix {suffix!r}")
    image, file = open_image(data), io.BytesIO()
    image.convert("RGB").save(file, encoder)
    return file.getvalue()
