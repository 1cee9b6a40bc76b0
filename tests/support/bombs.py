"""Hostile and odd picture files, made here byte by byte: small to send, dear to unpack, or merely unusual."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
END = b"\0\0\0\0IEND\xaeB`\x82"


def saved(picture: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """One of PNG's."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def zeros(size: int) -> bytes:
    """So many, packed."""
    squeeze = zlib.compressobj(9)
    packed = [squeeze.compress(bytes(min(2**20, size - at))) for at in range(0, size, 2**20)]
    return b"".join(packed) + squeeze.flush()


def flat_png(
    width: int, height: int, *, colour: int = 2, depth: int = 8, interlaced: bool = False, idat: bytes | None = None
) -> bytes:
    """All black, of Adam7's seven pictures if `interlaced`; or whatever `idat` says."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    starts = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    sizes = [(width, height)]
    if interlaced:
        sizes = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in starts]
    raw = sum((1 + (w * channels * depth + 7) // 8) * h for w, h in sizes if w > 0 and h > 0)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zeros(raw) if idat is None else idat) + END


def with_chunks(png: bytes, *chunks: bytes, last: bool = False) -> bytes:
    """These after the header, or before the end if `last`."""
    place = len(png) - len(END) if last else len(SIGNATURE) + 25
    return png[:place] + b"".join(chunks) + png[place:]


def text_bomb(count: int = 63, size: int = 2**20 - 16, *, last: bool = False) -> bytes:
    """A good little PNG with text that is packed a thousand times smaller than it is."""
    packed = zeros(size)
    texts = [chunk(b"zTXt", b"k%d\0\0" % place + packed) for place in range(count)]
    return with_chunks(saved(noise(64, 64), "PNG"), *texts, last=last)


def noise(width: int, height: int) -> Image.Image:
    """RGB, the same each time."""
    return Image.fromarray(np.random.default_rng(5).integers(0, 256, (height, width, 3), np.uint8))


def smooth(width: int, height: int) -> Image.Image:
    """RGB, that packs well."""
    y, x = np.mgrid[0:height, 0:width].astype(np.uint16)
    return Image.fromarray(np.stack([x % 256, y % 256, (x + y) % 256], axis=-1).astype(np.uint8))


def segment(marker: int, data: bytes) -> bytes:
    """One of JPEG's."""
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data


def scan_bomb(edge: int, scans: int) -> bytes:
    """A grey progressive JPEG of edge x edge, with scans that say "nothing changes" in a few bytes, for every block."""
    blocks = (edge // 8) ** 2
    dc, ac = segment(0xC4, b"\0" + b"\1" + bytes(15) + b"\0"), segment(0xC4, b"\x10" + b"\0\2" + bytes(14) + b"\xe0\0")
    frame = segment(0xC2, struct.pack(">BHHB", 8, edge, edge, 1) + b"\1\x11\0")
    first = segment(0xDA, b"\1\1\0\0\0\0") + _bits("0" * blocks)
    body = _bits(_ends_of_bands(blocks))
    more = segment(0xDA, b"\1\1\0\1\x3f\1") + body
    again = segment(0xDA, b"\1\1\0\1\x3f\x10") + body
    return (
        b"\xff\xd8" + segment(0xDB, b"\0" + b"\1" * 64) + frame + dc + ac + first + more + again * scans + b"\xff\xd9"
    )


def _ends_of_bands(blocks: int) -> str:
    """Code 00 and 14 bits: nothing in 2**14 blocks and so many more; code 01: nothing in one block."""
    codes = ""
    while blocks:
        run = min(blocks, 2**15 - 1) if blocks >= 2**14 else 1
        codes += "00" + format(run - 2**14, "014b") if run > 1 else "01"
        blocks -= run
    return codes


def _bits(text: str) -> bytes:
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """These after the first marker."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def exif_bomb() -> bytes:
    """5,000 values of 60,000 bytes each, that all lie in the same 64 kB of EXIF."""
    entries = b"".join(struct.pack("<HHII", tag, 2, 60_000, 8) for tag in range(1000, 6000))
    tiff = b"II*\0" + struct.pack("<IH", 8, 5000) + entries
    return with_segments(saved(noise(64, 64), "JPEG"), segment(0xE1, b"Exif\0\0" + tiff[:65_500]))


def webp(width: int, height: int, *chunks: bytes) -> bytes:
    """A canvas of this size by its header, and a picture of 16 x 16 in it."""
    canvas = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    still = saved(noise(16, 16), "WEBP", lossless=True)[12:]
    body = b"WEBP" + b"VP8X" + struct.pack("<I", 10) + canvas + b"".join(chunks) + still
    return b"RIFF" + struct.pack("<I", len(body)) + body
