"""Picture files: what a caller may give as one, and what the server sends back."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

from PIL import Image

Format = Literal["png", "jpeg", "webp"]

SUFFIXES = {"png": (".png",), "jpeg": (".jpg", ".jpeg"), "webp": (".webp",)}
# How the files that the server reads begin.
_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF")
# Modes that a PNG file can hold.
_PNG_MODES = {"1", "L", "LA", "P", "RGB", "RGBA"}


class Array(Protocol):
    """A NumPy array, or whatever else shows its memory in NumPy's way."""

    @property
    def __array_interface__(self) -> dict[str, Any]: ...


# A Pillow image, the path or the bytes of a file, or an array: uint8 (height, width[, 3 or 4]), or bool for a mask.
ImageInput = Image.Image | str | os.PathLike[str] | bytes | bytearray | memoryview | Array


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A finished picture, as the file that the server made."""

    index: int  # in its job, from 0
    seed: int  # gives this picture again, alone
    format: str  # "png", "jpeg" or "webp"
    data: bytes = field(repr=False)  # the file
    width: int  # pixels
    height: int

    @cached_property
    def image(self) -> Image.Image:
        """The picture, decoded when first asked for."""
        return open_image(self.data)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the file to `path` as `save_picture` does, and returns where it is."""
        return save_picture(path, self.data, self.format)


def open_image(data: bytes) -> Image.Image:
    """The Pillow image in a picture file, decoded. Raises OSError for what is no picture."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def picture_file(source: ImageInput) -> bytes:
    """The bytes of a PNG, JPEG or WebP file for `source`; a file of these formats stays as it is.

    Raises TypeError for what is no image, and OSError for a file that cannot be read or is no picture.
    """
    if isinstance(source, (str, os.PathLike)):
        source = Path(source).read_bytes()
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = bytes(source)
        return data if data.startswith(_SIGNATURES) else _png(open_image(data))
    if isinstance(source, Image.Image):
        return _png(source)
    return _png(_from_array(source))


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
    target = path.resolve()
    if target.exists() and not target.is_file():
        target.write_bytes(data)  # /dev/stdout is written to, not replaced
        return
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


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    (image if image.mode in _PNG_MODES else image.convert("RGB")).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _from_array(source: Array) -> Image.Image:
    interface = getattr(source, "__array_interface__", None)
    if interface is None:
        raise TypeError(f"an image is a Pillow image, a path, bytes or an array, not {type(source).__name__}")
    if interface["typestr"][1:] not in ("u1", "b1"):
        # Whether floats run to 1 or to 255 is anyone's guess, and a wrong guess is a black picture.
        raise TypeError(f"an image array holds uint8, or bool for a mask, not {interface['typestr']!r}")
    return Image.fromarray(source)
