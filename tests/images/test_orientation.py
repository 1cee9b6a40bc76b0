"""What files say beside their pixels: which way up they are, how deep their greys go, and what a mask's alpha means."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin
from safelight_server.arrays import Pixels
from safelight_server.images import decoder
from safelight_server.images.budget import judge
from support import bombs

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="%d"/></x:xmpmeta>'


def file(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def read(data: bytes, mode: str = "RGB") -> Pixels:
    picture = judge(data)
    return decoder.pixels_of(picture, mode, picture.upright)


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


def with_text(key: str, text: str, *, packed: bool = False, international: bool = False) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_itxt(key, text) if international else info.add_text(key, text, zip=packed)
    return file(Image.fromarray(PIXELS), pnginfo=info)


def raw_profile(orientation: int) -> str:
    block = exif(orientation).tobytes()
    digits = block.hex()
    return f"\nexif\n{len(block):8d}\n" + "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72)) + "\n"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("how", ["exif", "late", "xmp", "raw", "packed", "webp"])
def test_pictures_are_read_upright_as_pillow_has_them(orientation: int, how: str) -> None:
    plain = Image.fromarray(PIXELS)
    data = {
        "exif": lambda: file(plain, exif=exif(orientation)),
        "late": lambda: bombs.with_chunks(
            file(plain), bombs.chunk(b"eXIf", exif(orientation).tobytes()[6:]), last=True
        ),
        "xmp": lambda: with_text("XML:com.adobe.xmp", XMP % orientation, international=True),
        "raw": lambda: with_text("Raw profile type exif", raw_profile(orientation)),
        "packed": lambda: with_text("Raw profile type exif", raw_profile(orientation), packed=True),
        "webp": lambda: file(plain, "WEBP", exif=exif(orientation), lossless=True),
    }[how]()
    with Image.open(io.BytesIO(data)) as image:
        image.load()  # the chunks that follow the pixels are read with these
        upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert np.array_equal(read(data), upright)
    assert judge(data).upright == upright.shape[:2]


def test_a_profile_that_swells_is_inflated_no_further_than_its_bound() -> None:
    swelling = b"Raw profile type exif\0\0" + zlib.compress(bytes(2**26))
    data = bombs.with_chunks(file(Image.fromarray(PIXELS)), bombs.chunk(b"zTXt", swelling))
    assert judge(data).upright == (24, 40)


def deep(kind: int, channels: int) -> tuple[bytes, Pixels]:
    """A PNG of 16 bits a channel with every height, and what it is in 8."""
    values = np.linspace(0, 65535, 16 * 16 * channels).astype(">u2").reshape(16, 16, channels)
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    head = struct.pack(">IIBBBBB", 16, 16, 16, kind, 0, 0, 0)
    chunks = (bombs.chunk(b"IHDR", head), bombs.chunk(b"IDAT", zlib.compress(rows)), bombs.chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks), (values >> 8).astype(np.uint8)


@pytest.mark.parametrize(("kind", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_deep_pictures_keep_their_range(kind: int, channels: int) -> None:
    data, shallow = deep(kind, channels)
    colours = shallow[..., :3] if channels >= 3 else shallow[..., :1].repeat(3, -1)
    assert np.abs(read(data).astype(int) - colours).max() <= 1


WHITE, BLACK = (255, 255, 255), (0, 0, 0)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ((*WHITE, 255), (*BLACK, 0), (255, 0)),  # white paint on nothing
        ((*WHITE, 255), (*WHITE, 0), (255, 0)),
        ((*BLACK, 255), (*BLACK, 0), (255, 0)),  # black paint on nothing: the colours say nothing
        ((200, 0, 0, 128), (200, 0, 0, 0), (128, 0)),
        ((*WHITE, 255), (*BLACK, 255), (255, 0)),  # opaque: the colours are the mask
        ((*WHITE, 128), (*BLACK, 255), (128, 0)),
        ((*WHITE, 255), (*BLACK, 128), (255, 0)),
    ],
)
@pytest.mark.parametrize("mode", ["RGBA", "LA", "WEBP"])
def test_the_alpha_of_a_mask(
    mode: str, left: tuple[int, ...], right: tuple[int, ...], expected: tuple[int, int]
) -> None:
    pixels = np.array([left, right], np.uint8)[None].repeat(16, 0).repeat(8, 1)
    image = Image.fromarray(pixels)
    if mode == "LA":
        image = image.convert("LA")
    data = file(image, "WEBP", lossless=True, exact=True) if mode == "WEBP" else file(image)
    mask = read(data, "L")
    assert (mask[:, :8] == expected[0]).all()
    assert (mask[:, 8:] == expected[1]).all()


def test_a_palette_with_a_transparent_colour_is_a_mask_with_alpha() -> None:
    image = Image.new("P", (16, 16), 1)
    image.putpalette([0, 0, 0, 0, 0, 0])
    image.paste(0, (0, 0, 8, 16))
    mask = read(file(image, transparency=1), "L")
    assert (mask[:, :8] == 255).all()
    assert (mask[:, 8:] == 0).all()


def test_a_picture_drops_its_alpha_as_diffusers_does() -> None:
    image = Image.fromarray(np.dstack([PIXELS, np.zeros((24, 40), np.uint8)]))
    assert np.array_equal(read(file(image)), PIXELS)
