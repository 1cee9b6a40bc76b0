"""Which way up a photograph is: one number out of EXIF or XMP, and nothing else is read of them."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence

TAG = 0x0112
NUMBERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}  # by EXIF's type of a value
EXIF = b"Exif\0\0"
LONGEST = 2**20  # bytes of XMP that are searched
IN_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


def orientation(metadata: Sequence[memoryview]) -> int:
    """From 1 to 8, out of blocks of EXIF and XMP. EXIF comes first; what makes no sense is 1: upright."""
    found = None
    for block in metadata:
        tiff = block[len(EXIF) :] if bytes(block[: len(EXIF)]) == EXIF else block
        if found is None and bytes(tiff[:4]) in (b"II*\0", b"MM\0*"):
            found = _in_tiff(tiff)
    for block in metadata:
        if found is None and bytes(block[: len(EXIF)]) != EXIF and (text := IN_XMP.search(block[:LONGEST])):
            found = int(text[1])
    return found if found is not None and 1 <= found <= 8 else 1


def _in_tiff(tiff: memoryview) -> int | None:
    """The tag's value in the first directory."""
    order = "<" if bytes(tiff[:2]) == b"II" else ">"
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, start)
    except struct.error:
        return None
    for place in range(start + 2, min(start + 2 + 12 * entries, len(tiff) - 11), 12):
        tag, kind, count = struct.unpack_from(order + "HHI", tiff, place)
        if tag == TAG and kind in NUMBERS and count == 1:
            return int(struct.unpack_from(order + NUMBERS[kind], tiff, place + 8)[0])
    return None
