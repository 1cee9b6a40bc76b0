"""PNG: its header and its chunks. Text, profiles and further frames are left out; but which way up it is, is read."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

from . import exif
from .header import BadPicture, Header, Piece, broken

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}  # what the pixels hang on
MOST_CHUNKS = 20_000  # 32 MiB in the smallest pieces that encoders write are a fifth of it
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
MOST_SQUEEZED = 1040  # deflate makes nothing smaller than a 1032nd of it
SPARE = 2**16  # bytes that packed pixels may be longer than plain ones, beside as much again
LONGEST_PROFILE = 2**17  # bytes of EXIF as text that are inflated: what a JPEG can hold, in hexadecimal
LONGEST_TEXT = 2**18  # bytes of a text of ours: both prompts, each letter in four
XMP = b"XML:com.adobe.xmp\0\0\0"  # and two texts that nobody fills


def read(data: bytes) -> Header:
    """Raises BadPicture."""
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise broken()
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    if not (width and height and colour in CHANNELS and depth in (1, 2, 4, 8, 16)):
        raise broken()
    pieces, packed, metadata = _chunks(memoryview(data))
    plain = ((width * CHANNELS[colour] * depth + 7) // 8 + 1) * height
    if packed * MOST_SQUEEZED < plain:
        raise broken()
    if packed > 2 * plain + SPARE:
        raise BadPicture(f"must have no more data than its pixels need, {plain} bytes, not {packed}")
    passes = (2 if depth == 16 else 1) + (1 if interlaced else 0)
    return Header(data, "PNG", width, height, passes, pieces, exif.orientation(metadata))


def _chunks(view: memoryview) -> tuple[list[Piece], int, list[memoryview]]:
    """The chunks that the pixels need, the bytes of packed pixels, and EXIF and XMP, which may follow the pixels."""
    pieces: list[Piece] = [SIGNATURE]
    metadata: list[memoryview] = []
    packed = 0
    for kind, place, end in _walk(view):
        if kind == b"IDAT":
            packed += end - place - 12
        if kind in PIXELS:
            _keep(pieces, view, place, end)
        if kind in METADATA and len(metadata) < MOST_METADATA and (block := METADATA[kind](view[place + 8 : end - 4])):
            metadata.append(block)
    return pieces, packed, metadata


def _walk(view: memoryview) -> Iterator[tuple[bytes, int, int]]:
    """The kind of each chunk up to the last, where it begins, and where it ends, which may be beyond the file."""
    place, count = len(SIGNATURE), 0
    kind = b""
    while place + 8 <= len(view) and kind != b"IEND":
        size, kind = struct.unpack_from(">I4s", view, place)
        end, count = place + 12 + size, count + 1
        if count > MOST_CHUNKS:
            raise BadPicture(f"must have at most {MOST_CHUNKS} chunks, and has more")
        yield kind, place, end
        place = end


def text(data: bytes, key: str) -> str | None:
    """The plain international text with this key, at most LONGEST_TEXT bytes of it. Raises BadPicture."""
    view, wanted = memoryview(data), key.encode("ascii") + b"\0\0\0\0\0"  # not packed, in no language, not translated
    for kind, place, end in _walk(view):
        body = view[place + 8 : end - 4]
        if kind == b"iTXt" and body[: len(wanted)] == wanted:
            return bytes(body[len(wanted) : len(wanted) + LONGEST_TEXT]).decode("utf-8", "replace")
    return None


def _keep(pieces: list[Piece], view: memoryview, place: int, end: int) -> None:
    if end - 4 > len(view):
        raise broken()
    pieces.append(view[place:end])


def _xmp(chunk: memoryview) -> memoryview | None:
    return chunk[len(XMP) :] if bytes(chunk[: len(XMP)]) == XMP else None


def _plain_profile(chunk: memoryview) -> memoryview | None:
    """EXIF as ImageMagick wrote it before PNG had a chunk for it: a name, a length and hexadecimal digits."""
    key, _, text = bytes(chunk[:LONGEST_PROFILE]).partition(b"\0")
    if key not in (b"Raw profile type exif", b"Raw profile type APP1"):
        return None
    try:
        return memoryview(bytes.fromhex("".join(text.decode("ascii").split()[2:])))
    except ValueError:
        return None


def _packed_profile(chunk: memoryview) -> memoryview | None:
    key, _, packed = bytes(chunk[:LONGEST_PROFILE]).partition(b"\0")
    if not key.startswith(b"Raw profile type "):
        return None
    try:
        text = zlib.decompressobj().decompress(packed[1:], LONGEST_PROFILE)
    except zlib.error:
        return None
    return _plain_profile(memoryview(key + b"\0" + text))


MOST_METADATA = 4  # blocks that are looked into
METADATA: dict[bytes, Callable[[memoryview], memoryview | None]] = {
    b"eXIf": lambda chunk: chunk,
    b"iTXt": _xmp,
    b"tEXt": _plain_profile,
    b"zTXt": _packed_profile,
}
