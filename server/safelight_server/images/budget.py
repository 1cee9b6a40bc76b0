"""What a picture may cost, judged from its header alone; and which ones are cheap."""

from __future__ import annotations

from . import jpeg, png, webp
from .header import BadPicture, Header

MAX_PIXELS = 4096 * 4096
MAX_EDGE = 16384
MAX_ASPECT = 64  # of a picture's longer edge to its shorter one: what a model draws at most, 2048 x 32
MAX_WORK = 5 * MAX_PIXELS  # pixels gone over: 20 scans of the largest picture, 100 of a quarter of it
CHEAP_WORK = 2**22  # pixels gone over that take some tens of milliseconds
CHEAP_BYTES = 2**22


def judge(data: bytes) -> Header:
    """The header of a picture that may be unpacked. Raises BadPicture for any other, in milliseconds."""
    header = _read(data)
    width, height = header.width, header.height
    if width * height > MAX_PIXELS:
        raise BadPicture(f"must have at most {MAX_PIXELS} pixels, not {width} x {height}")
    if max(width, height) > MAX_EDGE:
        raise BadPicture(f"must have edges of at most {MAX_EDGE} pixels, not {width} x {height}")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise BadPicture(f"must be at most {MAX_ASPECT} times as long as wide, not {width} x {height}")
    if width * height * header.passes > MAX_WORK:
        raise BadPicture(f"must have fewer scans, or fewer pixels than {width} x {height}: it takes too long to unpack")
    return header


def is_cheap(header: Header, width: int, height: int) -> bool:
    """Whether it is unpacked, and resampled to width x height, in a moment and in little memory."""
    work = header.width * header.height * header.passes
    if (width, height) not in ((header.width, header.height), (header.height, header.width)):
        work += (max(header.width, header.height) + max(width, height)) * max(width, height) / 2
    return work <= CHEAP_WORK and header.kept <= CHEAP_BYTES


def _read(data: bytes) -> Header:
    if data.startswith(png.SIGNATURE):
        return png.read(data)
    if data.startswith(jpeg.SIGNATURE):
        return jpeg.read(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return webp.read(data)
    raise BadPicture(f"must be a PNG, JPEG or WebP file; these {len(data)} bytes are none")
