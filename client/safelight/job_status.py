"""What the server says of jobs: how one stands, what one would take, whether a picture is drawn again the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from google.protobuf.message import Message

from .recipes import arguments_of
from .v1 import jobs_pb2 as pb
from .wire import as_json, read

JobState = Literal["queued", "running", "resting", "succeeded", "cancelled", "failed"]


@dataclass(frozen=True)
class Interval:
    """Seconds; nine of ten jobs end between low and high."""

    low: float
    likely: float
    high: float


@dataclass(frozen=True)
class Failure:
    """Why a job failed, as the error that following it raises."""

    code: str  # the name of a gRPC status, as "INTERNAL"
    reason: str
    message: str


@dataclass(frozen=True)
class JobStatus:
    """A job, as it stood when it was asked for."""

    id: str
    state: str  # a JobState, or "unknown" for one that is newer than this client
    image_index: int  # of the picture that is being drawn, from 0
    step: int  # done of this picture
    steps: int
    position: int  # jobs that come first, while it is queued
    eta: Interval | None  # from then to its end; None: it is there
    images_done: int
    num_images: int
    created: datetime
    ended: datetime | None
    expires: datetime | None  # when what is stored of it goes
    warnings: tuple[str, ...]
    failure: Failure | None
    checkpoints: dict[int, tuple[int, ...]] = field(hash=False)  # by picture, the steps that Job.fork can go on from
    forked_from: str  # the job, or ""
    request_id: str
    on_disconnect: str  # "cancel", "grace" or "keep"
    finished_early: bool
    last_sequence: int  # Job.events(after=...) with it hears what comes then
    arguments: dict[str, Any] = field(
        repr=False, hash=False
    )  # what it was asked for, as generate() and refine() take it

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state not in ("queued", "running")


@dataclass(frozen=True)
class Estimate:
    """What a request would take; nothing was drawn for it."""

    wait: Interval  # seconds of other jobs' work before this one
    work: Interval  # of its own work
    total: Interval  # from the call to the last picture
    peak_bytes: int  # of the server's memory while it is drawn
    fits: bool  # whether the machine has so much
    is_known: bool  # whether such steps were run before; if not, all this is a guess


@dataclass(frozen=True)
class Verification:
    """Whether a picture was drawn again the same; true in a condition if it was."""

    same: bool  # every pixel
    max_difference: int | None  # of 255
    differs: tuple[str, ...]  # what the server has otherwise than the one that drew it
    receipt: dict[str, Any] = field(repr=False, hash=False)  # of the new drawing, as ProtoJSON

    def __bool__(self) -> bool:
        return self.same


def status_from(job: pb.Job) -> JobStatus:
    """A job as a message tells it."""
    method = job.WhichOneof("request")
    return read(
        JobStatus,
        job,
        state=_name(pb.JobState, job.state, "JOB_STATE_"),
        eta=_interval(job.eta) if job.HasField("eta") else None,
        created=job.create_time.ToDatetime(UTC),
        ended=job.end_time.ToDatetime(UTC) if job.HasField("end_time") else None,
        expires=job.expire_time.ToDatetime(UTC) if job.HasField("expire_time") else None,
        failure=read(Failure, job.failure) if job.HasField("failure") else None,
        checkpoints={kept.image_index: tuple(kept.steps) for kept in job.checkpoints},
        on_disconnect=_name(_policies(job), job.on_disconnect, "ON_DISCONNECT_"),
        arguments=arguments_of(getattr(job, method)) if method else {},
    )


def estimate_from(response: pb.EstimateResponse) -> Estimate:
    """The estimate in a response."""
    spans = {name: _interval(getattr(response, name)) for name in ("wait", "work", "total")}
    return read(Estimate, response, **spans)


def verification_from(response: pb.VerifyResponse) -> Verification:
    """The verdict in a response."""
    most = response.max_difference if response.HasField("max_difference") else None
    return read(Verification, response, max_difference=most, receipt=as_json(response.receipt))


def state_named(name: str) -> str:
    """The state's name in the contract. Raises ValueError for one that there is not."""
    if name not in get_args(JobState):
        raise ValueError(f"state={name!r}: must be one of {', '.join(get_args(JobState))}")
    return f"JOB_STATE_{name.upper()}"


def _interval(message: pb.Interval) -> Interval:
    return read(Interval, message)


def _policies(job: Message) -> Any:
    return job.DESCRIPTOR.fields_by_name["on_disconnect"].enum_type


def _name(kind: Any, number: int, prefix: str) -> str:
    values = getattr(kind, "DESCRIPTOR", kind).values_by_number
    name = values[number].name.removeprefix(prefix).lower() if number in values else "unknown"
    return "unknown" if name == "unspecified" else name
