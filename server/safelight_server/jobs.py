"""A job: what a request becomes once it is checked, with every default filled in; and its terms."""

from __future__ import annotations

from collections.abc import Mapping
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
    """Where a job stands. The last four are final."""

    QUEUED = "queued"  # waits for a slot
    RUNNING = "running"
    RESTING = "resting"  # has drawn as far as it was asked to
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"  # nobody waits for it any more, or the server is shutting down
    FAILED = "failed"

    @property
    def final(self) -> bool:
        return self not in (JobState.QUEUED, JobState.RUNNING)


class OnDisconnect(Enum):
    """What becomes of a job that nobody waits for."""

    CANCEL = "cancel"
    GRACE = "grace"  # it is cancelled if nobody comes back in time
    KEEP = "keep"


@dataclass(frozen=True)
class Terms:
    """What a caller asks of a job beside the drawing. `request_id`: calls with the same one get the same job.

    `grace` and `retain` are in seconds: until a job that nobody waits for is cancelled, and how long what is stored of
    it is kept after its end. `wait_for_model`: while its model is loaded, the call waits, and is not refused.
    """

    on_disconnect: OnDisconnect = OnDisconnect.CANCEL
    grace: float = 60.0
    retain: float = 0.0
    request_id: str = ""
    wait_for_model: bool = True

    @property
    def lasts(self) -> bool:
        """Whether anybody can ask for this job again, after a crash as well: then it is stored."""
        return bool(self.request_id or self.retain or self.on_disconnect is not OnDisconnect.CANCEL)


@dataclass(frozen=True)
class Prompts:
    """For the first and the second text encoder. `negative` None is not "": some models then use zeros in its place."""

    prompt: str
    prompt_2: str
    negative: str | None = None
    negative_2: str | None = None
    weighted: bool = False  # read with weights, in as many chunks as they need; else as they stand, and cut


@dataclass(frozen=True)
class Sizes:
    """SDXL's micro-conditioning, as far as the request told it: (height, width) and (top, left), in pixels."""

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
    """What a Refine starts from: a picture (height, width, 3), and maybe a mask (height, width), of the job's size.

    `strength` is the share of the steps that are run, 0 to 1.
    """

    picture: Pixels
    mask: Pixels | None
    strength: float


@dataclass(frozen=True)
class Handoff:
    """The model that takes the latents over, and the share of the noise that is gone by then, 0 to 1."""

    model: str
    fraction: float


@dataclass(frozen=True)
class Scheduler:
    """A scheduler's name, and what is changed of its configuration in the model; None changes nothing."""

    name: str
    use_karras_sigmas: bool | None = None
    timestep_spacing: str | None = None
    eta: float | None = None


@dataclass(frozen=True)
class Acceleration:
    """What is left out of the work, for nearly the same picture. By default nothing is, and the picture is exact."""

    deep_cache: int = 1  # the whole UNet runs at every so many steps, its outermost layers at the others
    guided: float = 1.0  # the share of the steps, from the noisy end on, that is guided
    tiny: bool = False  # the finished picture by the tiny decoder


EXACT = Acceleration()


@dataclass(frozen=True)
class Output:
    """The file of a finished picture; `quality`, 1 to 100, is for JPEG and WebP."""

    format: Format = "png"
    quality: int = 90


@dataclass(frozen=True)
class Previews:
    """When a subscriber wants previews, and what they are to look like.

    `tiny`: by the tiny decoder, or by the linear map; None: by the tiny decoder, if the model has one.
    """

    every: int = 1  # steps
    min_interval: float = 0.0  # seconds between two
    max_edge: int = 256  # pixels
    quality: int = 80
    tiny: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """One or more images of one prompt. Image i is drawn from seeds[i] alone, as it would be in a job of its own."""

    id: str
    model: str
    prompts: Prompts
    size: Hw
    steps: int  # of a whole run from pure noise
    guidance: float  # the scale of classifier-free guidance; 1 or less turns it off
    rescale: float  # 0 to 1: how far the guided noise is brought back to the spread of the unguided
    seeds: tuple[int, ...]
    scheduler: Scheduler
    sizes: Sizes = Sizes()
    handoff: Handoff | None = None
    source: Source | None = None
    output: Output = Output()
    acceleration: Acceleration = EXACT
    priority: Priority = Priority.NORMAL
    recipe: dict[str, Any] = field(default_factory=dict)  # the request that makes this picture again, as JSON
    model_hash: str = ""  # the first digits of its UNet's SHA-256; empty where the folder does not say
    method: str = "generate"  # or "refine": what it was asked for by
    uploads: Mapping[str, str] = field(default_factory=dict)  # SHA-256 of what it starts from, as in receipts
    stop_at: int | None = None  # each image rests after so many steps, unfinished
    origin: str = ""  # the job, the image and the step that it goes on from, if it was forked
