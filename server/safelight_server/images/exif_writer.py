"""Writes EXIF with a few texts, as TIFF 6.0 lays it out. Pillow gives a comment another type than readers look for."""

from __future__ import annotations

import struct
from collections.abc import Mapping

ASCII, LONG, UNDEFINED = 2, 4, 7  # types of values
DESCRIPTION, SOFTWARE, EXIF, COMMENT = 0x010E, 0x0131, 0x8769, 0x9286  # tags; EXIF points to a directory of its own
START = b"II*\0" + struct.pack("<I", 8)
ENTRY = 12  # bytes

Values = Mapping[int, tuple[int, bytes]]  # by tag: the type, and the bytes


def exif(description: str, software: str, comment: str) -> bytes:
    """The block, with "Exif" before it. An empty text is left out; the first two must be ASCII."""
    texts = {DESCRIPTION: description, SOFTWARE: software}
    values: dict[int, tuple[int, bytes]] = {
        tag: (ASCII, text.encode("ascii") + b"\0") for tag, text in texts.items() if text
    }
    inner: Values = {COMMENT: (UNDEFINED, b"UNICODE\0" + comment.encode("utf-16-be", "replace"))} if comment else {}
    values[EXIF] = (LONG, bytes(4))
    outer = _directory(values, len(START))
    values[EXIF] = (LONG, struct.pack("<I", len(START) + len(outer)))
    outer = _directory(values, len(START))
    return b"Exif\0\0" + START + outer + _directory(inner, len(START) + len(outer))


def _directory(values: Values, start: int) -> bytes:
    """A directory that begins at `start`: its entries, and behind them what does not fit into those."""
    entries, data = struct.pack("<H", len(values)), b""
    place = start + 2 + ENTRY * len(values) + 4
    for tag, (kind, value) in sorted(values.items()):
        count = len(value) // 4 if kind == LONG else len(value)
        held = value
        if len(value) > 4:
            held = struct.pack("<I", place + len(data))
            data += value + bytes(len(value) % 2)
        entries += struct.pack("<HHI", tag, kind, count) + held.ljust(4, b"\0")
    return entries + bytes(4) + data
