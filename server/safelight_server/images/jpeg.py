"""JPEG: its header and its markers. Each scan costs a pass over all pixels, however few bytes it has."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

from . import exif
from .header import BadPicture, Header, Piece, broken

SIGNATURE = b"\xff\xd8\xff"
MOST_SCANS = 100  # a progressive file has about 10
MOST_SEGMENTS = 2_000
PASSES_A_SCAN = 0.2  # of a plain file's work, where there is more than one
WINDOW = 2**18  # bytes searched at a time: Python's other threads wait for each search
BYTES_A_PIXEL = 8  # at most; the finest quality of noise takes half of that
SPARE = 2**16
MOST_BETWEEN = 2**16  # bytes of nothing before a marker
SOF = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # the kinds of frames; the others are tables
SOS, EOI, APP0, APP1, ADOBE, LAST_APP, COMMENT = 0xDA, 0xD9, 0xE0, 0xE1, 0xEE, 0xEF, 0xFE
MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")  # none of those that stand within a scan's data


@dataclass
class _Walk:
    """What has been seen on the way from marker to marker."""

    size: tuple[int, int] | None = None  # (height, width)
    scans: int = 0
    segments: int = 0
    metadata: list[memoryview] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=lambda: [b"\xff\xd8"])


def read(data: bytes) -> Header:
    """Raises BadPicture."""
    walk, view, place = _Walk(), memoryview(data), 2
    while (place := _next_marker(data, place)) < len(data) and data[place + 1] != EOI:
        place = _segment(walk, data, place)
    if walk.size is None or not all(walk.size) or not walk.scans:
        raise broken()
    walk.pieces.append(view[place : place + 2])
    height, width = walk.size
    passes = 1 + PASSES_A_SCAN * walk.scans if walk.scans > 1 else 1
    return Header(data, "JPEG", width, height, passes, walk.pieces, exif.orientation(walk.metadata))


def _next_marker(data: bytes, place: int, most: int = MOST_BETWEEN) -> int:
    """Where the next one is, or the end of the file."""
    end = place + most
    while place < len(data):
        if found := MARKER.search(data, place, place + WINDOW + 1):
            return found.start()
        place += WINDOW
        if place > end:
            raise BadPicture(f"must have no more data than its pixels need, and has more than {most} bytes of it")
    return len(data)


def _segment(walk: _Walk, data: bytes, place: int) -> int:
    """Takes note of one segment, with its data if it is a scan; gives its end."""
    view = memoryview(data)
    marker = view[place + 1]
    size = int.from_bytes(view[place + 2 : place + 4], "big")
    if size < 2:
        raise broken()
    walk.segments += 1
    if walk.segments > MOST_SEGMENTS:
        raise BadPicture(f"must have at most {MOST_SEGMENTS} segments, and has more")
    end = place + 2 + size
    if marker == SOS:
        walk.scans += 1
        end = _scan(walk, data, end)
        if walk.scans > MOST_SCANS:
            raise BadPicture(f"must have at most {MOST_SCANS} scans, and has more")
    elif marker in SOF:
        walk.size = _size(view, place, size)
    elif marker == APP1:
        walk.metadata.append(view[place + 4 : end])
    if not (APP0 < marker <= LAST_APP or marker == COMMENT) or marker == ADOBE:
        walk.pieces.append(view[place:end])
    return end


def _scan(walk: _Walk, data: bytes, place: int) -> int:
    """The end of a scan's data."""
    if walk.size is None:
        raise broken()
    return _next_marker(data, place, walk.size[0] * walk.size[1] * BYTES_A_PIXEL + SPARE)


def _size(view: memoryview, place: int, size: int) -> tuple[int, int]:
    if size < 8 or place + 9 > len(view):
        raise broken()
    height, width = struct.unpack_from(">HH", view, place + 5)
    return height, width
