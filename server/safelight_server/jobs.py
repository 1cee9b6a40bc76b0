"""What a request becomes once it is checked: a job, frozen, every default filled in; and the events it gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Any, Literal

from .arrays import Hw, Pixels

Format = Literal["png", "jpeg", "webp"]


class Priority(IntEnum):
    """Whose steps go first; the smaller number is the more urgent."""

    INTERACTIVE = 0
    NORMAL = 1
    BATCH = 2


class JobState(Enum):
    """Where a job stands. The last three are final."""

    QUEUED = "queued"  # waits for a slot
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"  # nobody waits for it any more, or the server is shutting down
    FAILED = "failed"

    @property
    def final(self) -> bool:
        return self not in (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True)
class Prompts:
    """Prompts for the first and the second text encoder. `negative` None is not "": some models then use zeros."""

    prompt: str
    prompt_2: str
    negative: str | None = None
    negative_2: str | None = None


@dataclass(frozen=True)
class Sizes:
    """SDXL's micro-conditioning, as far as the request told it; (height, width) and (top, left) in pixels."""

    original: Hw | None = None
    crop: Hw = (0, 0)
    target: Hw | None = None
    negative_original: Hw | None = None
    negative_crop: Hw = (0, 0)
    negative_target: Hw | None = None
    aesthetic: float = 6.0
    negative_aesthetic: float = 2.5


@dataclass(frozen=True)
class Source:
    """Where a Refine starts: a picture (height, width, 3), maybe a mask (height, width), both of the job's size."""

    picture: Pixels
    mask: Pixels | None
    strength: float


@dataclass(frozen=True)
class Handoff:
    """The model that takes the latents over, and the share of the noise that is gone by then."""

    model: str
    fraction: float


@dataclass(frozen=True)
class Scheduler:
    """A scheduler's name, and changes to its configuration in the model."""

    name: str
    use_karras_sigmas: bool | None = None
    timestep_spacing: str | None = None
    eta: float | None = None


@dataclass(frozen=True)
class Acceleration:
    """What is left out of the work, though it changes the picture a little. As it is here, nothing is."""

    deep_cache: int = 1  # the whole UNet runs at every so many steps
    guided: float = 1.0  # the share of the steps, from the noisy end on, that is guided
    tiny: bool = False  # the finished picture by the tiny decoder


EXACT = Acceleration()


@dataclass(frozen=True)
class Output:
    format: Format = "png"
    quality: int = 90


@dataclass(frozen=True)
class Previews:
    """When previews are due, and what they look like. `tiny` None: the tiny decoder if the model has one."""

    every: int = 1
    min_interval: float = 0.0  # seconds
    max_edge: int = 256  # pixels
    quality: int = 80
    tiny: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """One or more pictures of one prompt; picture i is drawn from seeds[i] alone."""

    id: str
    model: str
    prompts: Prompts
    size: Hw
    steps: int
    guidance: float
    rescale: float
    seeds: tuple[int, ...]
    scheduler: Scheduler
    sizes: Sizes = Sizes()
    handoff: Handoff | None = None
    source: Source | None = None
    output: Output = Output()
    acceleration: Acceleration = EXACT
    priority: Priority = Priority.NORMAL
    recipe: dict[str, Any] = field(default_factory=dict)  # the request that makes this picture again, as JSON


@dataclass(frozen=True)
class Queued:
    position: int


@dataclass(frozen=True)
class Started:
    job: Job
    steps: int  # of each picture, on all its models
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Progress:
    index: int
    step: int
    steps: int
    model: str
    seconds: float


@dataclass(frozen=True)
class Preview:
    index: int
    step: int
    steps: int
    data: bytes  # JPEG
    size: Hw
    skipped: int


@dataclass(frozen=True)
class Image:
    index: int
    seed: int
    format: Format
    data: bytes
    size: Hw


@dataclass(frozen=True)
class Done:
    """Seconds by stage: queued, encode, denoise, decode, save, total."""

    timings: dict[str, float]


Event = Queued | Started | Progress | Preview | Image | Done
