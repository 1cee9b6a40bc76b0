"""Masks as other programs have them, made into ours: a grey PNG, white where it is drawn anew."""

from __future__ import annotations

import io

from PIL import Image, ImageFilter, ImageOps

from safelight_server.images.budget import judge
from safelight_server.images.decoder import pixels_of
from safelight_server.images.header import BadPicture

from .failures import bad


def from_alpha(file: bytes) -> bytes:
    """OpenAI's: transparent where it is drawn anew. Takes a moment: call it by Desk.check. Raises InvalidRequest."""
    return _saved(_read(file, "A"))


def from_a1111(file: bytes, *, invert: bool, blur: float) -> bytes:
    """White where it is drawn anew, or black if `invert`; with edges as soft as `blur`, in pixels. As `from_alpha`."""
    mask = _read(file, "L")
    if invert:
        mask = ImageOps.invert(mask)
    return _saved(mask.filter(ImageFilter.GaussianBlur(blur)) if blur else mask)


def _read(file: bytes, mode: str) -> Image.Image:
    try:
        header = judge(file)
        return Image.fromarray(pixels_of(header, mode, header.upright))
    except BadPicture as error:
        raise bad("mask", str(error)) from None


def _saved(mask: Image.Image) -> bytes:
    file = io.BytesIO()
    mask.save(file, "PNG", compress_level=1)
    return file.getvalue()
