"""What is told of a job, from its place in the queue to its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .arrays import Hw
from .jobs import Acceleration, Format


@dataclass(frozen=True)
class Queued:
    """The job waits for a slot; `position` says how many jobs are before it, itself counted. 0: it need not wait."""

    position: int


@dataclass(frozen=True)
class Started:
    """The job has a slot, and its work begins."""

    model: str
    size: Hw
    steps: int  # of each image, on all its models
    guidance: float
    scheduler: str
    seeds: tuple[int, ...]
    acceleration: Acceleration
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progress:
    """Step `step`, 1 to `steps`, of image `index` is done: on `model`, in so many seconds."""

    index: int
    step: int
    steps: int
    model: str
    seconds: float


@dataclass(frozen=True)
class Preview:
    """What image `index` looks like after a step: the clean picture, as it is guessed then."""

    index: int
    step: int
    steps: int
    data: bytes  # JPEG
    size: Hw  # of the preview
    skipped: int  # previews that the subscriber did not read before this one


@dataclass(frozen=True)
class Image:
    """A finished picture, as the file that was asked for."""

    index: int
    seed: int
    format: Format
    data: bytes
    size: Hw
    receipt: dict[str, Any] = field(default_factory=dict)  # all that its pixels hang on, as the JSON of the contract
    early: int | None = None  # it was finished early, after this step


@dataclass(frozen=True)
class Rested:
    """Image `index` has come to the step that it was to stop at; Fork goes on from there."""

    index: int
    step: int
    steps: int
    seed: int
    data: bytes  # JPEG: how it looks
    size: Hw  # of that


@dataclass(frozen=True)
class Resumed:
    """The server was started anew, and image `index` goes on after `step`; `warning`: why it begins again, if so."""

    index: int
    step: int
    warning: str = ""


@dataclass(frozen=True)
class Done:
    """All images are finished. `timings`: seconds by stage: queued, encode, denoise, decode, save, total."""

    timings: dict[str, float]


Event = Queued | Started | Progress | Preview | Image | Rested | Resumed | Done
LASTING = (Started, Image, Rested, Resumed, Done)  # are stored, and come once each; a newer one of the others counts
