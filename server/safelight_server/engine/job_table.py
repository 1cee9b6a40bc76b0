"""The jobs of an engine: by id, each with its state, and by what they draw, so that identical requests share one."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from safelight_server.diffusion.plan import Plan
from safelight_server.jobs import Job, JobState, Priority
from safelight_server.observer import SILENT, Observer

from .job_runner import JobRunner
from .subscribers import Subscribers

# The states that may follow a state; what is not here is a mistake of ours.
FOLLOWING: Mapping[JobState, Collection[JobState]] = {
    JobState.QUEUED: (JobState.RUNNING, JobState.CANCELLED, JobState.FAILED),
    JobState.RUNNING: (JobState.SUCCEEDED, JobState.CANCELLED, JobState.FAILED),
    JobState.SUCCEEDED: (),
    JobState.CANCELLED: (),
    JobState.FAILED: (),
}


@dataclass(eq=False)
class JobRecord:
    """A job on its way. `content` is the digest of what it draws; `runner` draws it, in `task`, for `caller`.

    `foreseen` are the seconds that it was thought to take when it came.
    """

    plan: Plan
    content: bytes
    subscribers: Subscribers
    runner: JobRunner
    caller: object = None
    foreseen: float = 1.0
    came: float = field(default_factory=time.monotonic)
    state: JobState = JobState.QUEUED
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def id(self) -> str:
        return self.plan.job.id


class JobTable:
    """Jobs that are queued or running; one that has ended, or that nobody waits for, is removed."""

    def __init__(self, observer: Observer = SILENT) -> None:
        self._observer = observer
        self._by_id: dict[str, JobRecord] = {}
        self._by_content: dict[bytes, JobRecord] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, job_id: str) -> JobRecord | None:
        return self._by_id.get(job_id)

    def all(self) -> list[JobRecord]:
        return list(self._by_id.values())

    def sharing(self, content: bytes) -> JobRecord | None:
        """The job that draws just this."""
        return self._by_content.get(content)

    def add(self, record: JobRecord) -> None:
        """Raises ValueError for an id that another job has."""
        if record.id in self._by_id:
            raise ValueError(f"id must be of no other job, not {record.id!r}")
        self._by_id[record.id] = self._by_content[record.content] = record
        self._observer.job_moved(record.id, record.plan.job.model, record.state)

    def move(self, record: JobRecord, state: JobState) -> None:
        """Raises ValueError for a state that cannot follow."""
        if state not in FOLLOWING[record.state]:
            raise ValueError(f"job {record.id} cannot become {state.value}: it is {record.state.value}")
        record.state = state
        self._observer.job_moved(record.id, record.plan.job.model, state)

    def remove(self, record: JobRecord) -> None:
        """A job that is not in the table any more is left alone."""
        if self._by_id.get(record.id) is record:
            del self._by_id[record.id]
        if self._by_content.get(record.content) is record:
            del self._by_content[record.content]


def digest(job: Job) -> bytes:
    """A digest of all that the job's pictures hang on: equal for jobs that one drawing can serve.

    It reads the whole source picture: call it in a thread.
    """
    found = hashlib.sha256(repr(replace(job, id="", priority=Priority.NORMAL, source=None)).encode())
    if job.source is not None:
        found.update(repr(job.source.strength).encode() + job.source.picture.tobytes())
        found.update(b"" if job.source.mask is None else job.source.mask.tobytes())
    return found.digest()
