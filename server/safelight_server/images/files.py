"""Picture files in and out: PNG, JPEG and WebP, by Pillow, with the door's limits in and the recipe as text out."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from safelight_server import __version__
from safelight_server.arrays import Hw, Pixels
from safelight_server.jobs import Output

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 4096 * 4096


class BadPicture(ValueError):
    """A file that is no picture we read; the text is the rule and the value."""


def open_picture(data: bytes) -> Image.Image:
    """Reads the header alone: a bomb of some kilobytes is refused before its pixels are unpacked. Raises BadPicture."""
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise BadPicture(f"must be a PNG, JPEG or WebP file; these {len(data)} bytes are none") from None
    except Image.DecompressionBombError:
        raise BadPicture(f"must have at most {MAX_PIXELS} pixels, and has far more") from None
    except Exception:
        raise BadPicture("cannot be read: the file is broken or breaks off") from None
    if picture.width * picture.height > MAX_PIXELS:
        raise BadPicture(f"must have at most {MAX_PIXELS} pixels, not {picture.width} x {picture.height}")
    return picture


def pixels_of(picture: Image.Image, mode: str, size: Hw) -> Pixels:
    """Unpacks a picture as "RGB" (height, width, 3) or "L" (height, width), upright, resampled to `size` if it differs.

    Lanczos, as diffusers' VaeImageProcessor resamples. Raises BadPicture for a file that breaks off.
    """
    try:
        upright = (ImageOps.exif_transpose(picture) if _may_be_turned(picture) else picture).convert(mode)
    except Exception:  # Pillow's decoders raise whatever a broken file brings them to
        raise BadPicture("cannot be read: the file is broken or breaks off") from None
    if upright.size != size[::-1]:
        upright = upright.resize(size[::-1], Image.Resampling.LANCZOS)
    return np.asarray(upright)


def upright_size(picture: Image.Image) -> Hw:
    """(height, width) as it is seen, from the header and the EXIF orientation."""
    turned = _may_be_turned(picture) and picture.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
    return (picture.width, picture.height) if turned else (picture.height, picture.width)


def _may_be_turned(picture: Image.Image) -> bool:
    """Cameras write JPEG. A PNG is not asked: Pillow would unpack it to look for EXIF at its end."""
    return picture.format != "PNG"


def save(picture: Pixels, output: Output, recipe: dict[str, Any]) -> bytes:
    """The file of a finished picture (height, width, 3); PNG carries `recipe`, the request that makes it again."""
    options: dict[str, Any] = {"quality": output.quality}
    if output.format == "png":
        # Level 1 with run lengths: a seventh of the time of Pillow's default, and no larger on pictures like these.
        options = {"compress_level": 1, "compress_type": 3, "pnginfo": _text(recipe)}
    return _file(Image.fromarray(picture), output.format, **options)


def thumbnail(picture: Pixels, size: Hw, max_edge: int, quality: int) -> tuple[bytes, Hw]:
    """A JPEG preview of a picture whose finished size is `size`; at most that, and at most `max_edge`."""
    scale = min(1.0, max_edge / max(size))
    height, width = (max(1, round(edge * scale)) for edge in size)
    small = Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)
    return _file(small, "jpeg", quality=quality), (height, width)


def _text(recipe: dict[str, Any]) -> PngImagePlugin.PngInfo:
    text = PngImagePlugin.PngInfo()
    text.add_itxt("parameters", json.dumps(recipe, ensure_ascii=False))
    text.add_text("Software", f"Safelight {__version__}")
    return text


def _file(picture: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()
