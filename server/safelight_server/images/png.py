"""PNG: its header and its chunks. Text, profiles and further frames are left out, and never inflated."""

from __future__ import annotations

import struct

from .header import BadPicture, Header, Piece, broken

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}  # what the pixels hang on
MOST_CHUNKS = 20_000  # 32 MiB in the smallest pieces that encoders write are a fifth of it
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
MOST_SQUEEZED = 1040  # deflate makes nothing smaller than a 1032nd of it
SPARE = 2**16  # bytes that packed pixels may be longer than plain ones, beside as much again


def read(data: bytes) -> Header:
    """Raises BadPicture."""
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise broken()
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    if not (width and height and colour in CHANNELS and depth in (1, 2, 4, 8, 16)):
        raise broken()
    pieces, packed = _chunks(memoryview(data))
    plain = ((width * CHANNELS[colour] * depth + 7) // 8 + 1) * height
    if packed * MOST_SQUEEZED < plain:
        raise broken()
    if packed > 2 * plain + SPARE:
        raise BadPicture(f"must have no more data than its pixels need, {plain} bytes, not {packed}")
    return Header(data, "PNG", width, height, (2 if depth == 16 else 1) + (1 if interlaced else 0), pieces)


def _chunks(view: memoryview) -> tuple[list[Piece], int]:
    """The chunks that the pixels need, and the bytes of packed pixels."""
    pieces: list[Piece] = [SIGNATURE]
    packed, place, count = 0, len(SIGNATURE), 0
    while place + 8 <= len(view):
        size, kind = struct.unpack_from(">I4s", view, place)
        end, count = place + 12 + size, count + 1
        if count > MOST_CHUNKS:
            raise BadPicture(f"must have at most {MOST_CHUNKS} chunks, and has more")
        if kind == b"IDAT":
            packed += size
        if kind in PIXELS:
            _keep(pieces, view, place, end)
        if kind == b"IEND":
            break
        place = end
    return pieces, packed


def _keep(pieces: list[Piece], view: memoryview, place: int, end: int) -> None:
    if end - 4 > len(view):
        raise broken()
    pieces.append(view[place:end])
