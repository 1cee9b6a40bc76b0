"""A picture's pixels, by Pillow: in this process, or as a program of its own that reads a file and writes them.

python -m safelight_server.images.unpack MODE WIDTH HEIGHT: it may be ended at any moment, and bounds itself too.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from contextlib import suppress

from PIL import Image, ImageChops

from .budget import judge
from .header import BadPicture, Header, broken

MEMORY = 2**30  # bytes: the largest picture that may come takes a good half
SECONDS = 10  # of a core
TURNS = {  # by orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def unpack(header: Header, mode: str, width: int, height: int) -> Image.Image:
    """The picture as "RGB", a mask as "L", or as "A" one that is transparent where it is drawn anew; upright, resampled
    to width x height if its size differs.

    Lanczos, as diffusers' VaeImageProcessor resamples. Raises BadPicture.
    """
    try:
        picture: Image.Image = Image.open(io.BytesIO(b"".join(header.pieces)), formats=(header.format,))
        if picture.size != (header.width, header.height):
            raise broken()
        if header.orientation in TURNS:
            picture = picture.transpose(TURNS[header.orientation])
        picture = _READERS[mode](_shallow(picture))
        return picture if picture.size == (width, height) else picture.resize((width, height), Image.Resampling.LANCZOS)
    except Exception:  # Pillow's decoders raise whatever a broken file brings them to
        raise broken() from None


def _shallow(picture: Image.Image) -> Image.Image:
    """With 8 bits a channel. Pillow narrows deep colours by itself, and cuts deep greys off at 255."""
    if not picture.mode.startswith("I"):
        return picture
    picture.info.pop("transparency", None)  # a deep grey, which no longer means anything
    return picture.point(lambda value: value * (1 / 256)).convert("L")


def _mask(picture: Image.Image) -> Image.Image:
    """White where it is drawn anew. What is transparent is kept; paint of one colour counts by its opacity alone."""
    if not picture.has_transparency_data:
        return picture.convert("L")
    layers = picture.convert("RGBA")
    alpha = layers.getchannel("A")
    colours = layers.convert("RGB")
    if alpha.getextrema() == (255, 255):
        return colours.convert("L")
    painted = colours.histogram(alpha.point(lambda value: 255 * (value > 0)))
    if sum(map(bool, painted)) <= len("RGB"):
        return alpha
    return ImageChops.multiply(colours.convert("L"), alpha)


def _transparent(picture: Image.Image) -> Image.Image:
    """White where it is transparent. A picture without transparency is white where it is drawn anew."""
    if not picture.has_transparency_data:
        return picture.convert("L")
    return ImageChops.invert(picture.convert("RGBA").getchannel("A"))


_READERS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "RGB": lambda picture: picture.convert("RGB"),
    "L": _mask,
    "A": _transparent,
}


def main() -> None:
    """Exits with 1 for a file that cannot be read; is ended by SIGXCPU if that takes too long."""
    _bound()
    mode, width, height = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    try:
        picture = unpack(judge(sys.stdin.buffer.read()), mode, width, height)
    except BadPicture:
        sys.exit(1)
    sys.stdout.buffer.write(picture.tobytes())


def _bound() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    with suppress(OSError, ValueError):  # macOS may refuse a limit that is below what the process has mapped
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
