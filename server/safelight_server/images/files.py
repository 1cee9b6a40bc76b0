"""Picture files as they go out: PNG with the recipe as text, JPEG and WebP, by Pillow."""

from __future__ import annotations

import io
import json
from typing import Any

from PIL import Image, PngImagePlugin

from safelight_server import __version__
from safelight_server.arrays import Hw, Pixels
from safelight_server.jobs import Output


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
