"""WebP: its header and its chunks. Profiles, metadata and all frames but the first are left out."""

from __future__ import annotations

import struct

from . import exif
from .header import BadPicture, Header, Piece, broken

MOST_CHUNKS = 2_000
PASSES = 2  # of a plain file's work: Pillow unpacks it as an animation of one frame
PIXELS = {b"VP8X", b"ALPH", b"VP8 ", b"VP8L", b"ANIM", b"ANMF"}  # of ANMF, a frame, the first one
METADATA = 0x20 | 0x08 | 0x04  # the flags of a colour profile, EXIF and XMP


def read(data: bytes) -> Header:
    """Raises BadPicture."""
    if len(data) < 30 or (end := 8 + struct.unpack_from("<I", data, 4)[0]) > len(data):
        raise broken()
    width, height = _size(data)
    body, metadata = _chunks(memoryview(data)[:end])
    head = b"RIFF" + struct.pack("<I", 4 + sum(map(len, body))) + b"WEBP"
    return Header(data, "WEBP", width, height, PASSES, (head, *body), exif.orientation(metadata))


def _chunks(view: memoryview) -> tuple[list[Piece], list[memoryview]]:
    """The chunks that the pixels need, and what stands in those of EXIF and XMP."""
    body: list[Piece] = []
    metadata: list[memoryview] = []
    place, kinds = 12, set(PIXELS)
    for _ in range(MOST_CHUNKS):
        if place + 8 > len(view):
            return body, metadata
        kind, size = struct.unpack_from("<4sI", view, place)
        if (end := place + 8 + size) > len(view):
            raise broken()
        if kind in kinds:
            chunk = view[place : end + size % 2]
            body.append(_without_metadata(chunk) if kind == b"VP8X" else chunk)
        elif kind in (b"EXIF", b"XMP "):
            metadata.append(view[place + 8 : end])
        if kind == b"ANMF":
            kinds.discard(kind)
        place = end + size % 2
    raise BadPicture(f"must have at most {MOST_CHUNKS} chunks, and has more")


def _size(data: bytes) -> tuple[int, int]:
    """(width, height) of the canvas, by the kind of the first chunk."""
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L" and data[20] == 0x2F:
        both = int.from_bytes(data[21:25], "little")
        return 1 + (both & 0x3FFF), 1 + (both >> 14 & 0x3FFF)
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise broken()


def _without_metadata(chunk: memoryview) -> bytes:
    """VP8X, that no longer speaks of chunks which are left out."""
    if len(chunk) < 18:
        raise broken()
    return bytes(chunk[:8]) + bytes((chunk[8] & ~METADATA,)) + bytes(chunk[9:])
