"""A job as its callers know it: what they asked of it, the drawing that it waits for, and how it stands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from safelight_server.callers import Trace
from safelight_server.errors import JobError
from safelight_server.events import Image, Queued, Rested, Resumed, Started
from safelight_server.job_store.store import StoredJob
from safelight_server.jobs import Job, JobState, OnDisconnect, Priority, Terms
from safelight_server.observer import Outline

from .drawings import Drawing

PLAIN = Terms()


class Ask(NamedTuple):
    """What a caller hands in, beside the plan.

    `digest` tells the request from others with the same id; `pack` gives the bytes of which the job's plan can be made
    again; `deadline` is when the caller will leave, a time.monotonic().
    """

    terms: Terms = PLAIN
    digest: bytes = b""
    pack: Callable[[Job], bytes] = lambda job: b""
    caller: object = None
    deadline: float | None = None
    priority: Priority = Priority.NORMAL


class Failure(NamedTuple):
    """Why a job failed, as a status tells it."""

    code: str
    reason: str
    message: str


@dataclass(frozen=True)
class JobView:
    """How a job stands. Times are seconds since 1970."""

    id: str
    model: str
    state: JobState
    terms: Terms
    created: float
    owner: str = ""
    ended: float | None = None
    expires: float | None = None
    method: str = "generate"
    recipe: Mapping[str, Any] = field(default_factory=dict)  # what was asked for, defaults filled in, as JSON
    index: int = 0  # of the image that is being drawn
    step: int = 0  # steps of it that are done
    steps: int = 0
    position: int = 0
    last_sequence: int = 0
    images_done: int = 0
    num_images: int = 1
    failure: Failure | None = None
    warnings: Sequence[str] = ()
    forked_from: str = ""
    trace: Sequence[str] = ()  # W3C's headers of the call that made it
    finished_early: bool = False
    checkpoints: Mapping[int, Sequence[int]] = field(default_factory=dict)  # steps by image


# What of a view is stored as JSON; the rest has columns of its own, or is found anew.
STORED = (
    "method",
    "recipe",
    "index",
    "step",
    "steps",
    "last_sequence",
    "images_done",
    "num_images",
    "warnings",
    "forked_from",
    "trace",
    "finished_early",
)


@dataclass(eq=False)
class JobRecord:
    """A job that is not over. `owner` is the name of whoever made it; `watchers` are the calls that wait for it."""

    id: str
    ask: Ask
    drawing: Drawing
    created: float
    owner: str = ""
    forked_from: str = ""
    trace: Trace = field(default_factory=Trace)
    stored: bool = False
    state: JobState | None = None  # None: that of the drawing
    watchers: int = 0
    _leaving: asyncio.TimerHandle | None = field(default=None, repr=False)

    @property
    def terms(self) -> Terms:
        return self.ask.terms

    def view(self) -> JobView:
        drawing, events = self.drawing, self.drawing.subscribers.events
        warnings = [text for _, item in events.lasting if isinstance(item, Started) for text in item.warnings]
        warnings += [item.warning for _, item in events.lasting if isinstance(item, Resumed) and item.warning]
        queued = events.newest(Queued)
        return JobView(
            id=self.id,
            model=drawing.plan.job.model,
            state=self.state or drawing.state,
            terms=self.terms,
            created=self.created,
            owner=self.owner,
            method=drawing.plan.job.method,
            recipe=drawing.plan.job.recipe,
            index=drawing.runner.index,
            step=drawing.runner.step,
            steps=drawing.plan.steps,
            position=queued.position if isinstance(queued, Queued) else 0,
            last_sequence=events.last,
            images_done=events.count(Image, Rested),
            num_images=len(drawing.plan.job.seeds),
            warnings=warnings,
            forked_from=self.forked_from,
            trace=(self.trace.parent, self.trace.state),
            finished_early=any(isinstance(item, Image) and item.early is not None for _, item in events.lasting),
        )

    def outline(self, *, resumed: bool) -> Outline:
        plan, job = self.drawing.plan, self.drawing.plan.job
        height, width = job.size
        return Outline(
            id=self.id,
            drawing=self.drawing.id,
            model=job.model,
            refiner=job.handoff.model if job.handoff else "",
            method=job.method,
            width=width,
            height=height,
            steps=plan.steps,
            images=len(job.seeds),
            priority=self.ask.priority.name.lower(),
            forked_from=self.forked_from,
            resumed=resumed,
            trace=self.trace,
        )

    @property
    def is_over(self) -> bool:
        return self.state is not None or self.drawing.state.final

    def wait(self, seconds: float, over: Callable[[], None]) -> None:
        """Calls `over` after so many seconds, unless somebody comes."""
        self.stay()
        self._leaving = asyncio.get_running_loop().call_later(seconds, over)

    def stay(self) -> None:
        """Somebody has come, or it is over."""
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None

    def row(self, reserved: int) -> StoredJob:
        """As the store has it while it is not over."""
        view = self.view()
        return StoredJob(
            self.id,
            self.owner,
            reserved,
            self.terms.request_id,
            self.ask.digest,
            view.model,
            JobState.QUEUED,
            self.created,
            None,
            None,
            to_json(view),
        )


def to_json(view: JobView, error: Exception | None = None) -> dict[str, Any]:
    """What is stored of a view beside its columns."""
    terms = {**asdict(view.terms), "on_disconnect": view.terms.on_disconnect.value}
    told = failure_of(error)
    return {"terms": terms, "failure": told, **{name: getattr(view, name) for name in STORED}}


def from_row(row: StoredJob) -> JobView:
    """How a job stood when it was stored."""
    kept = dict(row.record)
    failure = kept.pop("failure")
    return JobView(
        id=row.id,
        model=row.model,
        state=row.state,
        terms=terms_of(kept.pop("terms")),
        created=row.created,
        owner=row.owner,
        ended=row.ended,
        expires=row.expires,
        failure=Failure(*failure) if failure else None,
        **kept,
    )


def terms_of(values: Mapping[str, Any]) -> Terms:
    return Terms(**{**values, "on_disconnect": OnDisconnect(values["on_disconnect"])})


def failure_of(error: Exception | None) -> Failure | None:
    if error is None:
        return None
    if isinstance(error, JobError):
        return Failure(error.code, error.reason, str(error))
    return Failure("INTERNAL", "INTERNAL", "the server failed on this job; its log says how")


class WallClock:
    """Seconds since 1970, that never go back and never jump: what is stored has its times by it."""

    def __init__(self) -> None:
        self._began, self._at = time.time(), time.monotonic()

    def begin_after(self, least: float) -> None:
        """The machine's clock may have been set back since then."""
        self._began = max(self._began, least)

    def now(self) -> float:
        return self._began + time.monotonic() - self._at
