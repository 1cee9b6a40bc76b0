"""Who is let in: as many jobs as there is room for, shared among callers, and what can be done in time."""

from __future__ import annotations

import math
import time
from collections import Counter

from safelight_server.errors import DeadlineTooShort, QueueFull
from safelight_server.jobs import JobState

from .job_runner import JobRunner
from .job_table import JobRecord, JobTable

# What a job takes, over the seconds that its inferences were seen to take: at least, and at most. A machine that has
# other things to do is slower than it just was: each job that is late raises the margin, many in time lower it again.
MARGIN, MOST_MARGIN = 1.25, 4.0
LATE, IN_TIME = 1.2, 0.99  # factors of the margin
OVERHEAD = 0.02  # seconds of a job that no inference takes: files, messages
LEAST_RETRY, MOST_RETRY = 1.0, 10.0  # seconds: jobs may also be cancelled, so nobody is told to wait for minutes
MOST_SUBSCRIBERS = 64  # calls that share one job


class Admission:
    """`room` jobs at a time, and `max_wait` seconds of work before a new one."""

    def __init__(self, jobs: JobTable, room: int, max_wait: float) -> None:
        self._jobs, self._room, self._max_wait = jobs, room, max_wait
        self._margin = MARGIN

    @property
    def is_full(self) -> bool:
        return len(self._jobs) >= self._room

    def check_room(self, caller: object) -> None:
        """Raises QueueFull if no job of this caller would be let in, whatever it is."""
        if self.is_full and self.displaced_by(caller) is None:
            raise self.full()

    def check_subscribers(self, record: JobRecord) -> None:
        """Raises QueueFull if a job has as many readers as it may have."""
        if len(record.subscribers) >= MOST_SUBSCRIBERS:
            raise self.full()

    def check_time(self, runner: JobRunner, deadline: float | None) -> None:
        """Raises DeadlineTooShort for what cannot be done before `deadline`, QueueFull after more than `max_wait`."""
        before = self._seconds_before(runner, deadline)
        if before > self._max_wait:
            raise QueueFull(len(self._jobs), min(MOST_RETRY, max(LEAST_RETRY, before - self._max_wait)))
        left = math.inf if deadline is None else deadline - time.monotonic()
        alone = self._margin * (runner.remaining / runner.pace + OVERHEAD)
        needed = alone + self._margin * before
        if needed > left and (before or runner.knows_its_times):
            raise DeadlineTooShort(needed, left, needed - left if alone <= left else None)

    def note_end(self, record: JobRecord) -> None:
        """A job has ended: was it in time? One that was given up before its deadline says nothing."""
        deadline = record.subscribers.deadline
        if deadline is None:
            return
        if record.state is JobState.SUCCEEDED:
            self._margin = max(MARGIN, self._margin * IN_TIME)
        elif time.monotonic() >= deadline:
            self._margin = min(MOST_MARGIN, self._margin * LATE)

    def displaced_by(self, caller: object) -> JobRecord | None:
        """The job that makes room for one of this caller: the last one in the queue of the caller that has most.

        None if that would only turn the tables: shares are equal when nobody has two jobs more than another.
        """
        count = Counter(record.caller for record in self._jobs.all())
        greedy, most = max(count.items(), key=lambda item: item[1], default=(None, 0))
        queued = [r for r in self._jobs.all() if r.caller == greedy and r.state is JobState.QUEUED]
        return queued[-1] if queued and most >= count[caller] + 2 else None

    def _seconds_before(self, runner: JobRunner, deadline: float | None) -> float:
        """Of work that the lanes will do before this job is done: what is more urgent, or has an earlier deadline."""
        before = 0.0
        for other in (record.runner for record in self._jobs.all()):
            if other.lanes & runner.lanes:
                _, until, _ = other.ticket.standing()
                earlier = until is not None and (deadline is None or until <= deadline)
                if earlier or other.remaining <= runner.remaining or deadline is None:
                    before += other.remaining / other.pace
        return before

    def full(self) -> QueueFull:
        """The refusal: a place is free when the job with the least work left is done."""
        soonest = min((record.runner.remaining / record.runner.pace for record in self._jobs.all()), default=0.0)
        return QueueFull(len(self._jobs), min(MOST_RETRY, max(LEAST_RETRY, soonest)))
