"""The pictures of a Refine: judged by their headers, together with the size that is asked for, and unpacked last."""

from __future__ import annotations

from collections.abc import Callable

from safelight_server.arrays import Hw, Pixels
from safelight_server.images.budget import is_cheap, judge
from safelight_server.images.decoder import pixels_of
from safelight_server.images.header import BadPicture, Header
from safelight_server.jobs import Source

from .field_reader import FieldReader

MakeSize = Callable[[Hw | None], Hw]  # the size of the job, given that of its picture


def source(fields: FieldReader, multiple: int, make_size: MakeSize, *, unpack: bool) -> tuple[Hw, Source | None]:
    """A Refine's size and start. What is bad of one picture hides nothing that is bad of the other, or of the size.

    Call it last: with bad fields, no pixels are read but those that cost little; and without `unpack` none at all.
    """
    mask_file = fields.message.mask  # each look at it is a copy
    strength = fields.number("strength", 0.9999 if mask_file else 0.3, 0, 1)
    picture = _header(fields, "image", fields.message.image)
    mask = _header(fields, "mask", mask_file) if mask_file else None
    own = None if picture is None else picture.upright
    size = make_size(own and (own[0] - own[0] % multiple, own[1] - own[1] % multiple))
    if own and mask and mask.upright != own:
        height, width = mask.upright
        fields.bad("mask", f"must have the image's size {own[1]} x {own[0]}, not {width} x {height}")
        mask = None
    if not unpack:
        return size, None
    if fields.violations:
        _try(fields, "image", picture)
        _try(fields, "mask", mask)
        return size, None
    image = _pixels(fields, "image", "RGB", picture, size)
    masked = _pixels(fields, "mask", "L", mask, size)
    return size, None if image is None else Source(image, masked, strength)


def _header(fields: FieldReader, field: str, file: bytes) -> Header | None:
    try:
        return judge(file)
    except BadPicture as error:
        fields.bad(field, str(error))
        return None


def _pixels(fields: FieldReader, field: str, mode: str, header: Header | None, size: Hw) -> Pixels | None:
    try:
        return None if header is None else pixels_of(header, mode, size)
    except BadPicture as error:
        fields.bad(field, str(error))
        return None


def _try(fields: FieldReader, field: str, header: Header | None) -> None:
    """Finds out whether a picture that costs little is broken further in, so that it is named with the rest."""
    if header is not None and is_cheap(header, *header.upright[::-1]):
        _pixels(fields, field, "L", header, header.upright)
