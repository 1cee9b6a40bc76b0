"""The drawings of an engine, by what they draw: identical requests share one. A drawing is the work of equal jobs."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from safelight_server.diffusion.plan import Plan
from safelight_server.jobs import Job, JobState, Priority
from safelight_server.observer import SILENT, Observer

from .job_runner import JobRunner
from .subscribers import Subscribers

# The states that may follow a state; what is not here is a mistake of ours.
FOLLOWING: Mapping[JobState, Collection[JobState]] = {
    JobState.QUEUED: (JobState.RUNNING, JobState.CANCELLED, JobState.FAILED),
    JobState.RUNNING: (JobState.SUCCEEDED, JobState.RESTING, JobState.CANCELLED, JobState.FAILED),
    JobState.RESTING: (),
    JobState.SUCCEEDED: (),
    JobState.CANCELLED: (),
    JobState.FAILED: (),
}


@dataclass(eq=False)
class Drawing:
    """Work on its way. `content` is the digest of what it draws; `runner` draws it, in `task`, for `caller`.

    `foreseen` are the seconds that it was thought to take when it came; 0: nobody asked. `lasts`: it was promised to
    somebody who may be away, and gives no place up. `holders` are the jobs that it is for: it is stopped when there is
    none. `on_end` is called once, with its error if it failed. It waits for `gate`, if there is one.
    """

    plan: Plan
    content: bytes
    subscribers: Subscribers
    runner: JobRunner
    caller: object = None
    foreseen: float = 0.0
    lasts: bool = False
    came: float = field(default_factory=time.monotonic)
    state: JobState = JobState.QUEUED
    task: asyncio.Task[None] | None = field(default=None, repr=False)
    holders: set[object] = field(default_factory=set, repr=False)
    gate: asyncio.Event | None = None
    on_end: list[Callable[[Exception | None], None]] = field(default_factory=list, repr=False)

    @property
    def id(self) -> str:
        return self.plan.job.id


class Drawings:
    """Those that are queued or running; one that has ended, or that nobody waits for, is removed."""

    def __init__(self, observer: Observer = SILENT) -> None:
        self._observer = observer
        self._by_id: dict[str, Drawing] = {}
        self._by_content: dict[bytes, Drawing] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, drawing_id: str) -> Drawing | None:
        return self._by_id.get(drawing_id)

    def all(self) -> list[Drawing]:
        return list(self._by_id.values())

    def sharing(self, content: bytes) -> Drawing | None:
        """The drawing of just this."""
        return self._by_content.get(content)

    def add(self, drawing: Drawing) -> None:
        """Raises ValueError for an id that another one has."""
        if drawing.id in self._by_id:
            raise ValueError(f"id must be of no other job, not {drawing.id!r}")
        self._by_id[drawing.id] = self._by_content[drawing.content] = drawing
        self._observer.job_moved(drawing.id, drawing.plan.job.model, drawing.state)

    def move(self, drawing: Drawing, state: JobState) -> None:
        """Raises ValueError for a state that cannot follow."""
        if state not in FOLLOWING[drawing.state]:
            raise ValueError(f"job {drawing.id} cannot become {state.value}: it is {drawing.state.value}")
        drawing.state = state
        self._observer.job_moved(drawing.id, drawing.plan.job.model, state)

    def stop_sharing(self, drawing: Drawing) -> None:
        """Nobody joins it from now on."""
        if self._by_content.get(drawing.content) is drawing:
            del self._by_content[drawing.content]

    def remove(self, drawing: Drawing) -> None:
        """One that is not there any more is left alone."""
        if self._by_id.get(drawing.id) is drawing:
            del self._by_id[drawing.id]
        self.stop_sharing(drawing)


def digest(job: Job) -> bytes:
    """A digest of all that the job's pictures hang on: equal for jobs that one drawing can serve.

    It reads the whole source picture: call it in a thread.
    """
    found = hashlib.sha256(repr(replace(job, id="", priority=Priority.NORMAL, source=None)).encode())
    if job.source is not None:
        found.update(repr(job.source.strength).encode() + job.source.picture.tobytes())
        found.update(b"" if job.source.mask is None else job.source.mask.tobytes())
    return found.digest()
