"""Turns whatever a caller gives as a picture into a file that the server reads, upright, in its range."""

from __future__ import annotations

import base64
import binascii
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.parse import unquote_to_bytes

from PIL import Image, ImageOps, UnidentifiedImageError

from .events import Preview
from .pictures import Picture, open_image
from .results import Result


class Array(Protocol):
    """A NumPy array, or whatever else shows its memory in NumPy's way."""

    @property
    def __array_interface__(self) -> dict[str, Any]: ...


class Readable(Protocol):
    """A file that was opened for reading bytes."""

    def read(self) -> bytes: ...


# A Pillow image; a picture, a preview or a result of this client (its first picture); the path, the bytes, the data:
# URL or the open file of a picture; or an array: uint8 or uint16 (height, width[, 3 or 4]), or bool for a mask.
Drawn = Picture | Preview | Result
ImageInput = Image.Image | Drawn | str | os.PathLike[str] | bytes | bytearray | memoryview | Readable | Array

# How the files that the server reads begin.
_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
# Modes that a PNG file can hold as they are.
_PNG_MODES = {"1", "L", "LA", "P", "RGB", "RGBA"}
# Where else alpha is, and the mode that keeps it.
_WITH_ALPHA = {"PA": "RGBA", "La": "LA", "RGBa": "RGBA"}


def picture_file(source: ImageInput) -> bytes:
    """The bytes of a PNG, JPEG or WebP file for `source`, of whatever size; a file of these kinds stays as it is.

    Raises TypeError for what is no image, ValueError for a URL that is not data:, and OSError for a file that cannot be
    read or is no picture.
    """
    data = file_bytes(source)
    if data is not None:
        return data if _is_readable(data) else png_file(_open(data))
    return png_file(source if isinstance(source, Image.Image) else _from_array(source))


def file_bytes(source: Any) -> bytes | None:
    """What is in a file, whatever holds it; None for a picture that is in none. Raises what picture_file raises."""
    given: Any = _file_of(source) if isinstance(source, (Picture, Preview, Result)) else source
    if isinstance(given, str) and (scheme := given.partition(":")[0].lower()) in _SCHEMES:
        given = _SCHEMES[scheme](given)
    if isinstance(given, (str, os.PathLike)):
        return Path(given).read_bytes()
    if hasattr(given, "read"):
        return _read(given)
    return bytes(given) if isinstance(given, (bytes, bytearray, memoryview)) else None


def _file_of(source: Drawn) -> bytes:
    return source.pictures[0].data if isinstance(source, Result) else source.data


def _read(source: Any) -> bytes:
    data = source.read()
    if not isinstance(data, bytes):
        raise TypeError("an image file is opened for bytes, as open(path, 'rb')")
    return data


def _from_data_url(url: str) -> bytes:
    head, comma, body = url.partition(",")
    if not comma:
        raise ValueError("a data: URL has a comma before its data, as data:image/png;base64,...")
    data = unquote_to_bytes(body)
    if not head.lower().endswith(";base64"):
        return data
    try:
        return base64.b64decode(data.translate(_URL_SAFE) + b"==")  # some leave the padding out
    except binascii.Error as error:
        raise ValueError(f"the data: URL is not base64: {error}") from None


def _not_fetched(url: str) -> bytes:
    raise ValueError(f"{url[:80]!r} is not fetched: give the picture's bytes, or its path")


_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_SCHEMES: dict[str, Callable[[str], bytes]] = {
    "data": _from_data_url,
    "http": _not_fetched,
    "https": _not_fetched,
    "ftp": _not_fetched,
}


def _is_readable(data: bytes) -> bool:
    """Whether a server reads files of this kind."""
    return data.startswith(_SIGNATURES) or (data.startswith(b"RIFF") and data[8:12] == b"WEBP")


def _open(data: bytes) -> Image.Image:
    if data[4:8] == b"ftyp":
        _know_heic()
    try:
        return open_image(data)
    except UnidentifiedImageError:
        hint = f"; for HEIC: {sys.executable} -m pip install pillow-heif" if data[4:8] == b"ftyp" else ""
        raise UnidentifiedImageError(f"cannot identify a picture in these {len(data)} bytes{hint}") from None


def _know_heic() -> None:
    """HEIC is read by Pillow where its plugin is installed."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return
    register_heif_opener()


def png_file(image: Image.Image) -> bytes:
    """A PNG file of an image, upright, with 8 bits a channel."""
    out = io.BytesIO()
    image = shallow(ImageOps.exif_transpose(image))
    if image.mode not in _PNG_MODES:
        image = image.convert(_WITH_ALPHA.get(image.mode, "RGB"))
    image.save(out, "PNG", compress_level=1)
    return out.getvalue()


def shallow(image: Image.Image) -> Image.Image:
    """The image with 8 bits a channel. Pillow narrows deep colours by itself, and cuts deep greys off at 255."""
    if image.mode == "F":
        raise TypeError("an image holds whole numbers: whether floats run to 1 or to 255 is anyone's guess")
    if not image.mode.startswith("I"):
        return image
    image = image if image.mode in ("I", "I;16") else image.convert("I")
    # Mode I has 32 bits, and holds what was of 8 or of 16.
    scale = 1 / 256 if image.mode == "I;16" or cast(tuple[int, int], image.getextrema())[1] > 255 else 1
    return image.point(lambda value: value * scale).convert("L")


def _from_array(source: Any) -> Image.Image:
    interface = getattr(source, "__array_interface__", None)
    if interface is None:
        kinds = "a Pillow image, a Picture, a Result, a path, a file, bytes, a data: URL or an array"
        raise TypeError(f"an image is {kinds}, not {type(source).__name__}")
    kind = interface["typestr"][1:]
    if kind == "u2":
        source = (source >> 8).astype("u1")
    elif kind not in ("u1", "b1"):
        # Whether floats run to 1 or to 255 is anyone's guess, and a wrong guess is a black picture.
        raise TypeError(f"an image array holds uint8 or uint16, or bool for a mask, not {interface['typestr']!r}")
    return Image.fromarray(source)
