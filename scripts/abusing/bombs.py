"""Picture files that are small to send and dear to unpack."""

from __future__ import annotations

import struct
import zlib

NOTHING = 2**15 - 1  # blocks: the longest run of unchanged ones that a code of JPEG's can tell


def scan_bomb(edge: int, scans: int) -> bytes:
    """A grey progressive JPEG of edge x edge, whose scans go through all its blocks and change none."""
    blocks = (edge // 8) ** 2
    tables = _segment(0xDB, bytes(1) + b"\1" * 64)
    tables += _segment(0xC4, b"\x00" + _codes(1) + b"\x00")  # one code for flat blocks
    tables += _segment(0xC4, b"\x10" + _codes(2) + b"\xe0\x00")  # 00: a run of 2**14 and more; 01: one block
    frame = _segment(0xC2, struct.pack(">BHHB", 8, edge, edge, 1) + b"\1\x11\0")
    flat = _segment(0xDA, b"\1\1\0\0\0\0") + _packed("0" * blocks)
    nothing = _packed(_nothing_in(blocks))
    first, again = (_segment(0xDA, b"\1\1\0\1\x3f" + bytes((bits,))) + nothing for bits in (0x01, 0x10))
    return b"\xff\xd8" + tables + frame + flat + first + again * scans + b"\xff\xd9"


def long_png(width: int) -> bytes:
    """Black, one row high."""
    squeeze = zlib.compressobj(9)
    step = 2**20
    rows = b"".join(squeeze.compress(bytes(min(step, 3 * width + 1 - at))) for at in range(0, 3 * width + 1, step))
    header = struct.pack(">IIBBBBB", width, 1, 8, 2, 0, 0, 0)
    return _png(_chunk(b"IHDR", header), _chunk(b"IDAT", rows + squeeze.flush()))


def text_png(chunks: int) -> bytes:
    """One grey pixel, and so many texts of a megabyte each, that are packed."""
    text = zlib.compress(bytes(2**20 - 16), 9)
    texts = [_chunk(b"zTXt", b"%d\0\0" % place + text) for place in range(chunks)]
    header = struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)
    return _png(_chunk(b"IHDR", header), *texts, _chunk(b"IDAT", zlib.compress(bytes(65 * 64))))


def _png(*chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def _codes(length: int) -> bytes:
    """How many Huffman codes there are of each length: as many as that length has values, of one alone."""
    return bytes(length if place == length - 1 else 0 for place in range(16))


def _nothing_in(blocks: int) -> str:
    """Bits that pass over so many blocks."""
    runs, rest = divmod(blocks, NOTHING)
    long = "00" + format(NOTHING - 2**14, "014b")
    if rest >= 2**14:
        return long * runs + "00" + format(rest - 2**14, "014b")
    return long * runs + "01" * rest


def _packed(bits: str) -> bytes:
    """Filled up with ones; after a byte of ones stands a zero."""
    bits += "1" * (-len(bits) % 8)
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)).replace(b"\xff", b"\xff\0")
