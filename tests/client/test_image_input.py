"""What a caller may give as a picture, and the file that is made of it; and photographs that are scaled down."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import safelight
from PIL import Image, ImageOps, features
from safelight import Client, PictureScaled
from safelight.image_input import picture_file
from safelight.image_scaling import READ_BYTES, picture_files
from safelight.v1 import images_pb2 as pb
from support import fake_server as fake
from support.fake_server import serve
from support.files import written

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
FORMATS = ["JPEG", "PNG", "WEBP", "TIFF", *(["AVIF"] if features.check("avif") else [])]


def saved(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def seen(file: bytes) -> Any:
    """The pixels of a file as the server has them: upright, as RGB."""
    with Image.open(io.BytesIO(file)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", FORMATS)
def test_an_opened_photograph_is_sent_upright(format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = saved(Image.fromarray(PIXELS), format, exif=exif)
    upright = seen(file)
    with Image.open(io.BytesIO(file)) as image:
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(picture_file(image)))), upright)
    assert np.array_equal(seen(picture_file(file)), upright)


DRAWN: dict[str, Any] = {"index": 0, "seed": 7, "format": "png", "data": fake.picture(), "width": 16, "height": 16}


@pytest.mark.parametrize(
    "make",
    [
        lambda path: safelight.Picture(**DRAWN),
        lambda path: safelight.Result("job", (safelight.Picture(**DRAWN),), safelight.Timings(0, 0, 0, 0, 0, 0)),
        lambda path: safelight.ImageDone(job_id="job", sequence=1, **DRAWN),
        lambda path: path,
        lambda path: str(path),
        lambda path: fake.picture(),
        lambda path: bytearray(fake.picture()),
        lambda path: io.BytesIO(fake.picture()),
        lambda path: path.open("rb"),
        lambda path: "data:image/png;base64," + base64.b64encode(fake.picture()).decode(),
        lambda path: "data:image/png;base64," + base64.urlsafe_b64encode(fake.picture()).decode().rstrip("="),
        lambda path: "DATA:image/png;name=a.png;base64," + quote(base64.b64encode(fake.picture()).decode()),
        lambda path: "data:image/png," + quote(fake.picture()),
    ],
)
def test_a_file_is_sent_as_it_is_whatever_holds_it(make: Callable[[Path], Any], tmp_path: Path) -> None:
    source = make(written(tmp_path / "image.png", fake.picture()))
    assert picture_file(source) == fake.picture()
    if hasattr(source, "close"):
        source.close()


@pytest.mark.parametrize(
    ("source", "kind", "text"),
    [
        ("https://host/a.png", ValueError, "is not fetched"),
        ("data:image/png;base64", ValueError, "comma"),
        ("data:image/png;base64,A", ValueError, "not base64"),
        (io.StringIO("text"), TypeError, "rb"),
        ([fake.picture()], TypeError, "not list"),
        (Image.new("F", (4, 4)), TypeError, "floats"),
        (b"", OSError, "0 bytes"),
        (b"\0\0\0\x18ftypheic" + bytes(20), OSError, "pillow-heif"),
        (b"RIFF....WAVE", OSError, "cannot identify"),
    ],
)
def test_what_is_no_picture_is_told_by_its_fault(source: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        picture_file(source)


RAMP = np.linspace(0, 65535, 24 * 40).astype(np.uint16).reshape(24, 40)


@pytest.mark.parametrize(
    "make",
    [
        lambda: RAMP,
        lambda: np.dstack([RAMP] * 3),
        lambda: RAMP.astype(">u2"),
        lambda: Image.fromarray(RAMP),
        lambda: Image.fromarray(RAMP.astype(np.int32)),
        lambda: Image.fromarray((RAMP >> 8).astype(np.int32)),
        lambda: saved(Image.fromarray(RAMP), "TIFF"),
        lambda: saved(Image.fromarray(RAMP), "PPM"),
    ],
)
def test_deep_pictures_keep_their_range(make: Callable[[], Any]) -> None:
    sent = seen(picture_file(make()))[..., 0]
    assert np.array_equal(sent, RAMP >> 8)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "La", "RGBa"])
def test_alpha_stays(mode: str) -> None:
    alpha = np.arange(24 * 40, dtype=np.uint8).reshape(24, 40) | 1
    image = Image.fromarray(np.dstack([PIXELS, alpha]))
    image = image.convert("LA").convert(mode) if mode in ("LA", "La") else image.convert(mode)
    sent = Image.open(io.BytesIO(picture_file(image)))
    assert np.array_equal(np.asarray(sent.getchannel("A")), alpha)


def turned(width: int, height: int, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(Image.linear_gradient("L").resize((width, height)).convert("RGB"), "JPEG", exif=exif)


@pytest.mark.parametrize(("sized", "expected"), [(False, (682, 1024)), (True, (3344, 5016))])
def test_a_photograph_of_24_megapixels_is_scaled_down_with_its_mask(sized: bool, expected: tuple[int, int]) -> None:
    mask = Image.new("L", (4000, 6000))
    mask.paste(255, (0, 0, 4000, 3000))
    with pytest.warns(PictureScaled, match="4000 x 6000 pixels") as told:
        file, other = picture_files(turned(6000, 4000, 6), mask, sized=sized)
    assert len(told) == 1
    assert other is not None
    for one in (file, other):
        size = Image.open(io.BytesIO(one)).size
        assert np.abs(np.subtract(size, expected)).max() <= 1
    assert Image.open(io.BytesIO(file)).size == Image.open(io.BytesIO(other)).size
    painted = np.asarray(Image.open(io.BytesIO(other)))
    assert (painted[:50] == 255).all()
    assert (painted[-50:] == 0).all()


def test_a_file_of_too_many_bytes_is_made_smaller() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (2048, 2048, 3), np.uint8)
    heavy = saved(Image.fromarray(noise)) + bytes(READ_BYTES)
    with pytest.warns(PictureScaled):
        file, _ = picture_files(heavy, None)
    assert len(file) < READ_BYTES
    assert np.array_equal(seen(file), noise)


def test_what_a_server_takes_is_sent_as_it_is() -> None:
    largest = saved(Image.new("RGB", (2048, 2048)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert picture_files(largest, None) == (largest, None)
        photograph = turned(4000, 3000, 1)
        assert picture_files(photograph, None, sized=True) == (photograph, None)


def test_a_call_scales_and_says_so() -> None:
    with serve() as server, Client(server.address) as client:
        with pytest.warns(PictureScaled, match="sent as 1024 x 768"):
            client.refine(turned(4000, 3000, 1), "p")
        client.refine(turned(4000, 3000, 1), "p", width=64, height=64)
        sizes = [Image.open(io.BytesIO(request.image)).size for request in server.requests]
    assert sizes == [(1024, 768), (4000, 3000)]
    assert isinstance(server.requests[0], pb.RefineRequest)
