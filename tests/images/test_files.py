"""Picture files: what is read, upright and in size, and what is written."""

from __future__ import annotations

import io
import json
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image
from safelight_server.arrays import Pixels
from safelight_server.images import decoder, files
from safelight_server.images.budget import judge
from safelight_server.images.header import BadPicture
from safelight_server.jobs import Output

RGB = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)


def file(image: Image.Image, format: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def read(data: bytes, mode: str = "RGB") -> Pixels:
    picture = judge(data)
    return decoder.pixels_of(picture, mode, picture.upright)


def test_what_is_written_is_read_again() -> None:
    assert np.array_equal(read(files.save(RGB, Output("png"), {})), RGB)
    for format in ("jpeg", "webp"):
        data = files.save(RGB.repeat(8, 0).repeat(8, 1), Output(format, 95), {})
        assert np.abs(read(data).astype(int) - RGB.repeat(8, 0).repeat(8, 1)).mean() < 12


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "I;16", "1"])
def test_any_kind_of_png_is_read_as_rgb(mode: str) -> None:
    image = Image.new("I;16", (40, 24)) if mode == "I;16" else Image.fromarray(RGB).convert(mode)
    assert read(file(image, "PNG")).shape == (24, 40, 3)
    assert read(file(image, "PNG"), "L").shape == (24, 40)


@pytest.mark.parametrize(("orientation", "turns"), [(3, 2), (6, 3), (8, 1)])
def test_a_photograph_is_read_upright(orientation: int, turns: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = file(Image.fromarray(RGB), "JPEG", exif=exif, quality=100, subsampling=0)
    upright = np.rot90(RGB, turns)
    assert judge(data).upright == upright.shape[:2]
    assert np.abs(read(data).astype(int) - upright).mean() < 3


def test_another_size_is_resampled() -> None:
    picture = judge(file(Image.fromarray(RGB), "PNG"))
    expected = Image.fromarray(RGB).resize((16, 32), Image.Resampling.LANCZOS)
    assert np.array_equal(decoder.pixels_of(picture, "RGB", (32, 16)), np.asarray(expected))


@pytest.mark.parametrize("format", ["GIF", "BMP", "TIFF", "ICO"])
def test_other_formats_are_not_even_tried(format: str) -> None:
    with pytest.raises(BadPicture, match="must be a PNG, JPEG or WebP file"):
        judge(file(Image.fromarray(RGB), format))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_no_broken_file_does_more_than_be_refused(format: str) -> None:
    whole = file(Image.fromarray(RGB), format)
    chance = np.random.default_rng(1)
    for _ in range(300):
        data = bytearray(whole[: chance.integers(1, len(whole) + 1)])
        for place in chance.integers(0, len(data), 3):
            data[place] = chance.integers(0, 256)
        with suppress(BadPicture):
            assert read(bytes(data)).dtype == np.uint8


def test_a_png_has_its_recipe_as_text() -> None:
    recipe = {"prompt": "ein Apfel, 🍎", "seed": 7}
    with Image.open(io.BytesIO(files.save(RGB, Output("png"), recipe))) as image:
        assert json.loads(image.text["safelight"]) == recipe  # type: ignore[attr-defined]


def test_a_thumbnail_is_at_most_so_large_and_never_larger_than_the_picture() -> None:
    for finished, edge, size in (((64, 128), 32, (16, 32)), ((64, 128), 256, (64, 128)), ((2048, 8), 16, (16, 1))):
        data, told = files.thumbnail(RGB, finished, edge, 80)
        assert told == size
        assert Image.open(io.BytesIO(data)).size == size[::-1]
