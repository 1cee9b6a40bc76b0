"""The result of a finished job: its pictures, and where the time went."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from .acceleration import Acceleration, acceleration_from
from .pictures import Picture
from .v1 import images_pb2 as pb
from .wire import as_json, read


@dataclass(frozen=True)
class Timings:
    """Where the time went, in seconds. With other jobs on the device the stages do not add up to `total`."""

    queued: float
    encode: float  # text, and the image of a refine
    denoise: float
    decode: float
    save: float  # making the files
    total: float


@dataclass(frozen=True)
class Result:
    """The pictures of a job, in order."""

    job_id: str
    pictures: tuple[Picture, ...]
    timings: Timings
    warnings: tuple[str, ...] = ()  # what was not taken as it was sent, e.g. a prompt that was cut
    acceleration: Acceleration | None = None  # how the pictures differ from the exact ones; None: they do not

    @property
    def image(self) -> Image.Image:
        """The first picture, as a Pillow image."""
        return self.pictures[0].image

    @property
    def images(self) -> list[Image.Image]:
        """All pictures, as Pillow images; decoded when first asked for."""
        return [picture.image for picture in self.pictures]

    @property
    def files(self) -> list[bytes]:
        """All pictures, as the files that the server made."""
        return [picture.data for picture in self.pictures]

    @property
    def formats(self) -> list[str]:
        """ "png", "jpeg" or "webp", per picture."""
        return [picture.format for picture in self.pictures]

    @property
    def seeds(self) -> list[int]:
        """The seed that gives each picture again, alone."""
        return [picture.seed for picture in self.pictures]

    def _repr_png_(self) -> bytes | None:
        """For notebooks: one picture."""
        return self.pictures[0]._repr_png_() if len(self.pictures) == 1 else None

    def _repr_jpeg_(self) -> bytes | None:
        return self.pictures[0]._repr_jpeg_() if len(self.pictures) == 1 else None

    def _repr_html_(self) -> str | None:
        """For notebooks: several pictures, side by side."""
        return None if len(self.pictures) == 1 else "".join(map(_html, self.pictures))

    def save(self, path: str | os.PathLike[str]) -> list[Path]:
        """Writes all pictures, and returns their paths. Raises OSError, and ValueError for a suffix of no format.

        One picture goes to `path`; several get -0, -1, ... before the suffix; in a folder each is named after its seed.
        The server's bytes stay as they are when the suffix fits, else the picture is encoded again.
        """
        return [picture.save(path_of(picture, Path(path), len(self.pictures))) for picture in self.pictures]


def _html(picture: Picture) -> str:
    data = base64.b64encode(picture.data).decode()
    style = "display: inline-block; max-width: 24em; margin: 2px"
    return f'<img style="{style}" alt="seed {picture.seed}" src="data:image/{picture.format};base64,{data}">'


def path_of(picture: Picture, path: Path, count: int) -> Path:
    """The path that Result.save gives a picture, which is one of `count`."""
    if path.is_dir():
        return path / f"safelight-{picture.seed}.{picture.format}"
    return path if count == 1 else numbered(path, picture.index)


def numbered(path: Path, index: int) -> Path:
    """The path of one of several pictures: -0, -1, ... before the suffix."""
    return path.with_name(f"{path.stem}-{index}{path.suffix}")


def result_from(response: pb.GenerateResponse | pb.RefineResponse) -> Result:
    """The result in the response of a Generate or a Refine."""
    return Result(
        job_id=response.job_id,
        pictures=tuple(read(Picture, image, **said_of(image)) for image in response.images),
        timings=read(Timings, response.timings),
        warnings=tuple(response.warnings),
        acceleration=acceleration_from(response),
    )


def said_of(image: pb.Image) -> dict[str, Any]:
    """What a message says of a picture in other words than Picture has."""
    early = image.finished_early_at_step if image.HasField("finished_early_at_step") else None
    receipt = as_json(image.receipt) if image.HasField("receipt") else None
    return {"format": format_name(image.format), "finished_early_at_step": early, "receipt": receipt}


def format_name(format: int) -> str:
    """ "png" for IMAGE_FORMAT_PNG; "unknown" for a format that is newer than this client (Pillow may know it)."""
    name = pb.ImageFormat.DESCRIPTOR.values_by_number.get(format)
    return name.name.removeprefix("IMAGE_FORMAT_").lower() if name else "unknown"
