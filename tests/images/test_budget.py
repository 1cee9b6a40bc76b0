"""Pictures judged by their headers: what is dear is refused before a pixel is unpacked, what is fine is not."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc

import numpy as np
import pytest
from PIL import Image
from safelight_server.images import decoder
from safelight_server.images.budget import MAX_EDGE, is_cheap, judge
from safelight_server.images.header import BadPicture
from support import bombs
from support.bombs import chunk, flat_png, noise, saved, segment, smooth

BIG = bytes(2**25 - 2**16)  # nearly all that a message may hold

REFUSED: list[tuple[str, bytes, str]] = [
    ("scans", bombs.scan_bomb(4096, 800), "must have at most 100 scans, and has more"),
    ("scans of a large one", bombs.scan_bomb(4096, 60), "must have fewer scans, or fewer pixels than 4096 x 4096"),
    (
        "segments",
        bombs.with_segments(saved(noise(8, 8), "JPEG"), *[segment(0xE2, b"")] * 3000),
        "at most 2000 segments",
    ),
    ("padding", b"\xff\xd8" + b"\xff" * len(BIG), "no more data than its pixels need"),
    ("restarts", saved(noise(8, 8), "JPEG")[:-2] + b"\xff\xd0" * 2**24, "no more data than its pixels need"),
    ("thin", flat_png(2**24, 1), "edges of at most 16384 pixels, not 16777216 x 1"),
    ("tall", flat_png(1, 2**24), "edges of at most 16384 pixels, not 1 x 16777216"),
    ("aspect", flat_png(MAX_EDGE, 64), "at most 64 times as long as wide, not 16384 x 64"),
    ("pixels", flat_png(13000, 13000, colour=0, depth=1), "must have at most 16777216 pixels, not 13000 x 13000"),
    ("chunks", bombs.with_chunks(flat_png(8, 8), *[chunk(b"IDAT", b"")] * 30_000), "must have at most 20000 chunks"),
    ("packed", bombs.with_chunks(flat_png(8, 8), chunk(b"IDAT", BIG), last=True), "no more data than its pixels need"),
    ("canvas", bombs.webp(16384, 16384), "must have at most 16777216 pixels, not 16384 x 16384"),
    ("riff", bombs.webp(16, 16, *[b"JUNK\0\0\0\0"] * 3000), "must have at most 2000 chunks"),
    ("half a chunk", saved(noise(64, 64), "PNG")[:-2000], "cannot be read"),
    ("half a png", flat_png(4096, 4096, idat=bombs.zeros(2**22)), "cannot be read"),
    ("half a webp", saved(noise(64, 64), "WEBP")[:-200], "cannot be read"),
]


@pytest.mark.parametrize(("name", "data", "rule"), REFUSED, ids=[name for name, *_ in REFUSED])
def test_what_is_dear_is_refused_in_a_moment_and_in_little_memory(name: str, data: bytes, rule: str) -> None:
    tracemalloc.start()
    before = time.thread_time()
    with pytest.raises(BadPicture, match=rule):
        decoder.pixels_of(judge(data), "RGB", (64, 64))
    took, (_, peak) = time.thread_time() - before, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 2**20
    assert took < 1, "some tens of ms without tracemalloc; a bomb takes seconds"


def test_a_scan_bomb_would_have_been_read() -> None:
    """So that the test above refuses a real one: it is as Pillow wants it, and each scan costs."""
    picture = Image.open(io.BytesIO(bombs.scan_bomb(256, 3)))
    assert np.asarray(picture).shape == (256, 256)
    assert len(bombs.scan_bomb(4096, 800)) < 70_000


FINE: list[tuple[str, bytes, tuple[int, int]]] = [
    ("texts", bombs.text_bomb(), (64, 64)),
    ("texts at the end", bombs.text_bomb(last=True), (64, 64)),
    ("unpacked text", bombs.with_chunks(flat_png(64, 64), chunk(b"tEXt", b"k\0" + BIG)), (64, 64)),
    ("profile", bombs.with_chunks(flat_png(64, 64), chunk(b"iCCP", b"k\0\0" + bombs.zeros(2**26))), (64, 64)),
    ("exif", bombs.exif_bomb(), (64, 64)),
    (
        "thumbnail",
        saved(noise(64, 48), "JPEG", exif=b"Exif\0\0" + saved(noise(9, 9), "JPEG", progressive=True)),
        (48, 64),
    ),
    ("few scans", bombs.scan_bomb(1024, 90), (1024, 1024)),
    ("progressive", saved(smooth(512, 384), "JPEG", progressive=True), (384, 512)),
    ("cmyk", saved(noise(64, 48).convert("CMYK"), "JPEG", progressive=True), (48, 64)),
    ("interlaced", flat_png(67, 93, interlaced=True), (93, 67)),
    ("16 bits", flat_png(67, 93, depth=16), (93, 67)),
    ("16 bits, grey", flat_png(67, 93, colour=0, depth=16), (93, 67)),
    ("several", saved(noise(64, 48), "PNG", save_all=True, append_images=[smooth(64, 48)] * 3), (48, 64)),
    ("several webp", saved(noise(64, 48), "WEBP", save_all=True, append_images=[smooth(64, 48)] * 3), (48, 64)),
    ("several jpeg", saved(noise(64, 48), "MPO", save_all=True, append_images=[smooth(64, 48)]), (48, 64)),
    ("panorama", saved(smooth(8192, 256), "JPEG"), (256, 8192)),
    ("large", saved(smooth(3000, 2000), "PNG"), (2000, 3000)),
]


# What Pillow itself refuses, or warns of, has the pixels of these.
PLAIN = {
    "texts": saved(noise(64, 64), "PNG"),
    "texts at the end": saved(noise(64, 64), "PNG"),
    "unpacked text": flat_png(64, 64),
    "profile": flat_png(64, 64),
    "exif": saved(noise(64, 64), "JPEG"),
}


@pytest.mark.parametrize(("name", "data", "size"), FINE, ids=[name for name, *_ in FINE])
def test_what_is_fine_is_read_as_pillow_reads_it_wherever_it_is_unpacked(
    name: str, data: bytes, size: tuple[int, int]
) -> None:
    header = judge(data)
    assert header.upright == size
    with Image.open(io.BytesIO(PLAIN.get(name, data))) as picture:
        expected = np.asarray(picture.convert("RGB"))
    assert np.array_equal(decoder.pixels_of(header, "RGB", size), expected)


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("where", ["exif", "xmp"])
@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_a_picture_stands_as_pillow_would_turn_it(format: str, where: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    xmp = b'<rdf tiff:Orientation="%d"/>' % orientation
    data = saved(noise(40, 24), format, **({"exif": exif} if where == "exif" else {"xmp": xmp}))
    told = Image.open(io.BytesIO(data)).getexif().get(0x0112)
    assert judge(data).orientation == (told if told in range(1, 9) else 1)


@pytest.mark.parametrize("kind", [2, 5, 12, 999])
def test_a_senseless_orientation_is_none(kind: int) -> None:
    tiff = b"MM\0*" + struct.pack(">IHHHII", 8, 1, 0x0112, kind, 1, 6)
    data = bombs.with_segments(saved(noise(8, 8), "JPEG"), segment(0xE1, b"Exif\0\0" + tiff))
    assert judge(data).orientation == 1


def test_only_what_costs_little_is_unpacked_in_the_servers_own_process() -> None:
    small, large = judge(flat_png(1024, 1024)), judge(flat_png(4096, 4096))
    assert is_cheap(small, 1024, 1024)
    assert not is_cheap(large, 512, 512)
    assert not is_cheap(judge(bombs.scan_bomb(1024, 90)), 1024, 1024)
    assert not is_cheap(judge(flat_png(8192, 256)), 2048, 2048), "the resampler's memory counts"
