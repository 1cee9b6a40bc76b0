"""Scales down the pictures that are larger than a server takes, and says so."""

from __future__ import annotations

import io
import warnings

from PIL import Image, ImageOps

from .image_input import ImageInput, picture_file, png_file, shallow
from .pictures import open_image

LONGEST_EDGE = 2048  # pixels: what a server draws, unless it was started with another --max-edge
NATIVE_EDGE = 1024  # what SDXL was trained on; its largest pictures take many times as long, and repeat themselves
READ_EDGE, READ_PIXELS = 16384, 4096 * 4096  # that a server reads, whatever it draws of them
READ_BYTES = 24 * 2**20  # of a file; a request may have 32 MiB, and a mask is in it, too
QUALITY = 95  # of a JPEG, where a PNG would have too many bytes


class PictureScaled(UserWarning):
    """A picture was larger than a server takes, and was scaled down before it was sent."""


def picture_files(image: ImageInput, mask: ImageInput | None, *, sized: bool = False) -> tuple[bytes, bytes | None]:
    """The files of a picture and its mask, as `picture_file` makes them, of a size that a server takes.

    What is too large is scaled down, with the warning PictureScaled: what is larger than a server draws, to what models
    draw well; or, if the size of the drawing is given (`sized`), what is larger than it reads, to that. Raises what
    picture_file raises.
    """
    file, other = picture_file(image), None if mask is None else picture_file(mask)
    stored = _stored_size(file)
    if stored is None or (_fitting(stored, sized) == stored and len(file) <= READ_BYTES):
        return file, other
    picture = _upright(file)
    size, count = _fitting(picture.size, sized), len(file)
    file = _scaled(picture, size)
    _tell(picture.size, count, size)
    if other is not None and (drawn_anew := _upright(other)).size == picture.size:
        other = _scaled(drawn_anew, size)
    return file, other


def _stored_size(file: bytes) -> tuple[int, int] | None:
    """(width, height) by the header alone; None for what the server had better judge."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is large is scaled down
            with Image.open(io.BytesIO(file)) as image:
                return image.size
    except Exception:  # a broken file raises whatever it brings Pillow to
        return None


def _fitting(size: tuple[int, int], sized: bool) -> tuple[int, int]:
    """The size of this shape that is sent."""
    width, height = size
    if not sized and max(size) > LONGEST_EDGE:
        scale = NATIVE_EDGE / max(size)
    else:
        scale = min(1.0, READ_EDGE / max(size), (READ_PIXELS / (width * height)) ** 0.5)
    return size if scale == 1 else (max(1, int(width * scale)), max(1, int(height * scale)))


def _upright(file: bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = shallow(ImageOps.exif_transpose(open_image(file)))
    return image.convert("RGBA" if image.has_transparency_data else "L" if image.mode in ("1", "L") else "RGB")


def _scaled(image: Image.Image, size: tuple[int, int]) -> bytes:
    image = image if image.size == size else image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    data = png_file(image)
    if len(data) <= READ_BYTES:
        return data
    out = io.BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=QUALITY, subsampling=0)
    return out.getvalue()


def _tell(size: tuple[int, int], count: int, scaled: tuple[int, int]) -> None:
    more = "" if size == scaled else "; width and height say which size is drawn"
    was = f"{size[0]} x {size[1]} pixels, {count:,} bytes"
    warnings.warn(
        f"the picture ({was}) is larger than a server takes: sent as {scaled[0]} x {scaled[1]}{more}",
        PictureScaled,
        stacklevel=5,  # about where the client was called
    )
