"""The events of a stream, a frozen dataclass for each."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from PIL import Image

from .acceleration import Acceleration, acceleration_from
from .pictures import Picture, open_image, save_picture
from .results import Timings, said_of
from .v1 import images_pb2 as pb
from .v1 import jobs_pb2 as jobs
from .wire import read

Message = pb.StreamResponse | jobs.AttachResponse


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to the job."""

    job_id: str
    sequence: int  # rises in each job; what was passed over leaves gaps


@dataclass(frozen=True, kw_only=True)
class Queued(Event):
    """The job waits."""

    position: int  # jobs that come first


@dataclass(frozen=True, kw_only=True)
class Started(Event):
    """The job as it is drawn, defaults filled in."""

    model: str
    width: int  # pixels
    height: int
    steps: int  # that each picture will take, on all its models
    guidance_scale: float
    scheduler: str
    seeds: tuple[int, ...]  # one per picture
    warnings: tuple[str, ...]  # what was not taken as it was sent
    acceleration: Acceleration | None  # how the pictures will differ from the exact ones; None: they will not


@dataclass(frozen=True, kw_only=True)
class Progress(Event):
    """A step was done. A slow reader gets the newest of these only."""

    image_index: int  # the picture, from 0
    step: int  # steps done of this picture
    steps: int
    model: str  # that took the step
    step_time: float  # seconds


@dataclass(frozen=True, kw_only=True)
class Shown(Event):
    """How a picture looks that is not finished."""

    image_index: int
    step: int
    steps: int
    data: bytes = field(repr=False)  # a JPEG file
    width: int  # pixels
    height: int

    @cached_property
    def image(self) -> Image.Image:
        """What is shown, decoded when first asked for."""
        return open_image(self.data)

    def _repr_jpeg_(self) -> bytes:
        """For notebooks."""
        return self.data

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Replaces the file at `path` in one move; another suffix than .jpg encodes the preview again."""
        return save_picture(path, self.data, "jpeg")


@dataclass(frozen=True, kw_only=True)
class Preview(Shown):
    """The model's current guess at the finished picture. A slow reader gets the newest of these only."""

    skipped: int  # previews since the last one that were left out because the reader was too slow


@dataclass(frozen=True, kw_only=True)
class Rested(Shown):
    """The picture has come to `stop_at_step`, and this is how it looks; Job.fork goes on from it."""

    seed: int


@dataclass(frozen=True, kw_only=True)
class Resumed(Event):
    """The server was started anew, and the job goes on."""

    image_index: int
    step: int  # the last that was not lost; 0: the picture begins again
    warning: str  # why it begins again, if it does


@dataclass(frozen=True, kw_only=True)
class ImageDone(Event, Picture):
    """A picture is finished: `.image`, `.data`, `.seed`, `.index`, `.save(path)`."""


@dataclass(frozen=True, kw_only=True)
class Done(Event):
    """Everything is drawn."""

    timings: Timings


def event_from(message: Message) -> Event | None:
    """The event in a message; None for one that is newer than this client."""
    name = message.WhichOneof("event")
    return None if name is None else _READERS[name](message)


def _reader(name: str, event: type[Event]) -> Callable[[Message], Event]:
    return lambda message: read(event, getattr(message, name), job_id=message.job_id, sequence=message.sequence)


def _started(message: Message) -> Event:
    done = acceleration_from(message.started)
    return read(Started, message.started, job_id=message.job_id, sequence=message.sequence, acceleration=done)


def _image_done(message: Message) -> Event:
    return read(ImageDone, message.image, **said_of(message.image), job_id=message.job_id, sequence=message.sequence)


def _done(message: Message) -> Event:
    return Done(job_id=message.job_id, sequence=message.sequence, timings=read(Timings, message.done.timings))


_READERS: dict[str, Callable[[Message], Event]] = {
    "queued": _reader("queued", Queued),
    "started": _started,
    "progress": _reader("progress", Progress),
    "preview": _reader("preview", Preview),
    "image": _image_done,
    "done": _done,
    "rested": _reader("rested", Rested),
    "resumed": _reader("resumed", Resumed),
}
