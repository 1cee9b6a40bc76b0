"""Who is let in: as many jobs as there is room for, shared among callers, and what can be done in time."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Iterable

from safelight_server.errors import DeadlineTooShort, QueueFull
from safelight_server.jobs import JobState

from .job_runner import JobRunner
from .job_table import JobRecord, JobTable

# Jobs take longer than their inferences were seen to take: others come in between, and a machine that has other things
# to do is slower than it just was. So a new job is given as many times its seconds as the worst of the last jobs took.
LAST = 100  # jobs
AT_FIRST, LEAST, MOST = 1.5, 1.1, 4.0  # times
GIVEN_UP = 1.2  # a job that was given up at its deadline would have taken that many times longer, at least
OVERHEAD = 0.02  # seconds of a job that no inference takes: files, messages
LEAST_RETRY, MOST_RETRY = 1.0, 10.0  # seconds: jobs may also be cancelled, so nobody is told to wait for minutes
MOST_SUBSCRIBERS = 64  # calls that share one job


class Admission:
    """`room` jobs at a time, and `max_wait` seconds of work before a new one."""

    def __init__(self, jobs: JobTable, room: int, max_wait: float) -> None:
        self._jobs, self._room, self._max_wait = jobs, room, max_wait
        self._times = deque([AT_FIRST], LAST)  # the seconds that jobs took, over those that were foreseen

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

    def check_time(self, runner: JobRunner, deadline: float | None) -> float:
        """The seconds until the job is done, as they are foreseen: for `note_end`.

        Raises DeadlineTooShort for what cannot be done before `deadline`, QueueFull after more than `max_wait`.
        """
        beside = [record for record in self._jobs.all() if record.runner.lanes & runner.lanes]
        waiting = sum(_seconds(record.runner) for record in beside)
        if waiting > self._max_wait:
            raise QueueFull(len(self._jobs), min(MOST_RETRY, max(LEAST_RETRY, waiting - self._max_wait)))
        now, times = time.monotonic(), min(MOST, max(LEAST, *self._times))
        left = math.inf if deadline is None else deadline - now
        alone = _seconds(runner) + OVERHEAD
        foreseen = alone + _seconds_before(runner, deadline, beside)
        needed = times * foreseen
        if needed > left and (beside or runner.knows_its_times):
            raise DeadlineTooShort(needed, left, needed - left if times * alone <= left else None)
        return foreseen

    def note_end(self, record: JobRecord) -> None:
        """A job has ended: how long did it take? One that was given up before its deadline says nothing."""
        deadline, now = record.subscribers.deadline, time.monotonic()
        if deadline is not None and (record.state is JobState.SUCCEEDED or now >= deadline):
            more = 1.0 if record.state is JobState.SUCCEEDED else GIVEN_UP
            self._times.append(more * (now - record.came) / record.foreseen)

    def displaced_by(self, caller: object) -> JobRecord | None:
        """The job that makes room for one of this caller: the last one in the queue of the caller that has most.

        None if that would only turn the tables: shares are equal when nobody has two jobs more than another.
        """
        count = Counter(record.caller for record in self._jobs.all())
        greedy, most = max(count.items(), key=lambda item: item[1], default=(None, 0))
        queued = [r for r in self._jobs.all() if r.caller == greedy and r.state is JobState.QUEUED]
        return queued[-1] if queued and most >= count[caller] + 2 else None

    def full(self) -> QueueFull:
        """The refusal: a place is free when the job with the least work left is done."""
        soonest = min((_seconds(record.runner) for record in self._jobs.all()), default=0.0)
        return QueueFull(len(self._jobs), min(MOST_RETRY, max(LEAST_RETRY, soonest)))


def _seconds(runner: JobRunner) -> float:
    return runner.remaining / runner.pace


def _seconds_before(runner: JobRunner, deadline: float | None, beside: Iterable[JobRecord]) -> float:
    """What the lanes will have done for others when this job is done: callers get equal shares, each has a line.

    A caller with one job may have no other. Who has several is taken to go on asking, so its line is never shorter than
    the one before this job.
    """
    lines: dict[object, list[JobRecord]] = {}
    for record in beside:
        lines.setdefault(record if record.caller is None else record.caller, []).append(record)
    own = [record.runner for record in lines.pop(runner.ticket.caller, ())]
    ahead = sum(_seconds(other) for other in own if _goes_before(other, runner, deadline))
    line = ahead + _seconds(runner)
    singles = [records[0].runner for records in lines.values() if len(records) == 1]
    several = len(lines) - len(singles)
    return ahead + sum(min(_seconds(other), line) for other in singles) + several * line


def _goes_before(other: JobRunner, runner: JobRunner, deadline: float | None) -> bool:
    """By the policy, within one line."""
    _, until, _ = other.ticket.standing()
    earlier = until is not None and (deadline is None or until <= deadline)
    return earlier or other.remaining <= runner.remaining
