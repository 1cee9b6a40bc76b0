"""Picture files as they go out: PNG, JPEG and WebP, by Pillow, each with what draws it again."""

from __future__ import annotations

import io
import json
from typing import Any

from PIL import Image, PngImagePlugin

from safelight_server import __version__
from safelight_server.arrays import Hw, Pixels
from safelight_server.jobs import Output

from .exif_writer import exif
from .parameters import parameters_text

RECEIPT = "safelight-receipt"  # the key of a PNG's text
MOST_EXIF = 60_000  # bytes of texts


def save(
    picture: Pixels,
    output: Output,
    recipe: dict[str, Any],
    model_hash: str = "",
    receipt: dict[str, Any] | None = None,
) -> bytes:
    """The file of a finished picture (height, width, 3). It carries `recipe`, the request that makes it again.

    As ProtoJSON, under the key `safelight` in a PNG, and as EXIF's ImageDescription in the others; and in the form that
    A1111's web UI made common, under `parameters` or as EXIF's UserComment. `model_hash` is in the latter. A PNG
    has the receipt as well, under the key RECEIPT.
    """
    parameters = parameters_text(recipe, model_hash)
    if output.format == "png":
        # Level 1 with run lengths: a seventh of the time of Pillow's default, and no larger on pictures like these.
        options: dict[str, Any] = {
            "compress_level": 1,
            "compress_type": 3,
            "pnginfo": _text(recipe, parameters, receipt),
        }
    else:
        options = {"quality": output.quality, "exif": _exif(recipe, parameters)}
    return _file(Image.fromarray(picture), output.format, **options)


def thumbnail(picture: Pixels, size: Hw, max_edge: int, quality: int) -> tuple[bytes, Hw]:
    """A JPEG preview of a picture whose finished size is `size`; at most that, and at most `max_edge`."""
    scale = min(1.0, max_edge / max(size))
    height, width = (max(1, round(edge * scale)) for edge in size)
    small = Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)
    return _file(small, "jpeg", quality=quality), (height, width)


def _text(recipe: dict[str, Any], parameters: str, receipt: dict[str, Any] | None) -> PngImagePlugin.PngInfo:
    text = PngImagePlugin.PngInfo()
    text.add_itxt("parameters", parameters)
    text.add_itxt("safelight", json.dumps(recipe, ensure_ascii=False))
    if receipt is not None:
        text.add_itxt(RECEIPT, json.dumps(receipt, ensure_ascii=False))
    text.add_text("Software", f"Safelight {__version__}")
    return text


def _exif(recipe: dict[str, Any], parameters: str) -> bytes:
    """Both, as far as a JPEG has room for them: 64 KiB, of which a request can have more."""
    described = json.dumps(recipe)  # in ASCII, as the tag must be
    if len(described) > MOST_EXIF:
        described = ""
    commented = parameters if len(described) + 2 * len(parameters.encode()) <= MOST_EXIF else ""
    return exif(described, f"Safelight {__version__}", commented)


def _file(picture: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()
