"""The client of Safelight: pictures over gRPC, with previews while they come up.

with Client("localhost:50051") as client:
    client.generate("a red apple", seed=7).save("apple.png")
"""

from .acceleration import Acceleration
from .aio import AsyncClient
from .aio_job import AsyncJob
from .aio_stream import AsyncStream
from .arguments import DrawOptions
from .client import Client
from .errors import (
    Busy,
    Cancelled,
    Conflict,
    Denied,
    FailedPrecondition,
    FieldViolation,
    Internal,
    InvalidRequest,
    NotFound,
    SafelightError,
    TimedOut,
    Unavailable,
    Unsupported,
)
from .events import Done, Event, ImageDone, Preview, Progress, Queued, Rested, Resumed, Started
from .health import Health
from .image_input import ImageInput
from .image_scaling import PictureScaled
from .job import Job
from .job_status import Estimate, Failure, Interval, JobStatus, Verification
from .models import Defaults, Limits, Model
from .options import Output, Previews, Refiner, SchedulerOptions, SizeConditioning
from .pictures import Picture
from .recipes import NoRecipe, recipe
from .results import Result, Timings
from .stream import Stream

__version__ = "0.1.0"

__all__ = [
    "Acceleration",
    "AsyncClient",
    "AsyncJob",
    "AsyncStream",
    "Busy",
    "Cancelled",
    "Client",
    "Conflict",
    "Defaults",
    "Denied",
    "Done",
    "DrawOptions",
    "Estimate",
    "Event",
    "FailedPrecondition",
    "Failure",
    "FieldViolation",
    "Health",
    "ImageDone",
    "ImageInput",
    "Internal",
    "Interval",
    "InvalidRequest",
    "Job",
    "JobStatus",
    "Limits",
    "Model",
    "NoRecipe",
    "NotFound",
    "Output",
    "Picture",
    "PictureScaled",
    "Preview",
    "Previews",
    "Progress",
    "Queued",
    "Refiner",
    "Rested",
    "Result",
    "Resumed",
    "SafelightError",
    "SchedulerOptions",
    "SizeConditioning",
    "Started",
    "Stream",
    "TimedOut",
    "Timings",
    "Unavailable",
    "Unsupported",
    "Verification",
    "__version__",
    "recipe",
]
