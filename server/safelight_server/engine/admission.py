"""Who is let in: as many jobs as there is room for, shared among callers, and what can be done in time."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Iterable
from weakref import WeakSet

from safelight_server.errors import DeadlineTooShort, QueueFull, ShareUsed
from safelight_server.jobs import JobState

from .drawings import Drawing, Drawings
from .job_runner import JobRunner

# Jobs take longer than their inferences were seen to take: others come in between, and a machine that has other things
# to do is slower than it just was. So a new job is given as many times its seconds as the worst of the last jobs took.
LAST = 100  # jobs
LATELY = 50  # jobs, by which a new one is estimated: what was before says little of how busy the machine is now
AT_FIRST, LEAST, MOST = 1.5, 1.1, 4.0  # times
GIVEN_UP = 1.2  # a job that was given up at its deadline would have taken that many times longer, at least
OVERHEAD = 0.02  # seconds of a job that no inference takes: files, messages
LEAST_RETRY, MOST_RETRY = 1.0, 10.0  # seconds: jobs may also be cancelled, so nobody is told to wait for minutes
MOST_SUBSCRIBERS = 1024  # calls that share one job: each costs a message
MOST_VIEWERS = 64  # of these, that want previews: each has its own painted


class Admission:
    """`room` jobs at a time, `share` of them of one caller, and `max_wait` seconds of work before a new one."""

    def __init__(self, drawings: Drawings, room: int, max_wait: float, share: float = math.inf) -> None:
        self._drawings, self._room, self._max_wait, self._share = drawings, room, max_wait, share
        # The seconds that jobs took, over those foreseen: of jobs with a deadline; and of all that ended well, apart
        # for those that came alone, for what waits is delayed by those that come after it, too.
        self._times = deque([AT_FIRST], LAST)
        self._alone: WeakSet[JobRunner] = WeakSet()  # of jobs that had no others before them
        self._ratios: dict[bool, deque[float]] = {alone: deque(maxlen=LATELY) for alone in (True, False)}

    @property
    def is_full(self) -> bool:
        return len(self._drawings) >= self._room

    def check_room(self, caller: object) -> None:
        """Raises ShareUsed or QueueFull if no job of this caller would be let in, whatever it is."""
        own = [drawing for drawing in self._drawings.all() if drawing.caller == caller]
        if caller is not None and len(own) >= self._share:
            raise ShareUsed(len(own), _retry_after(own))
        if self.is_full and self.displaced_by(caller) is None:
            raise self.full()

    def check_subscribers(self, drawing: Drawing, *, previews: bool = False) -> None:
        """Raises QueueFull if a job has as many readers as it may have, or as many that want previews."""
        readers = drawing.subscribers
        if len(readers) >= MOST_SUBSCRIBERS or (previews and readers.viewers >= MOST_VIEWERS):
            raise self.full()

    def check_time(self, runner: JobRunner, deadline: float | None) -> float:
        """The seconds until the job is done, as they are foreseen: for `note_end`.

        Raises DeadlineTooShort for what cannot be done before `deadline`, QueueFull after more than `max_wait`.
        """
        beside = [drawing for drawing in self._drawings.all() if drawing.runner.lanes & runner.lanes]
        waiting = sum(seconds_left(drawing) for drawing in beside)
        if waiting > self._max_wait:
            raise QueueFull(len(self._drawings), min(MOST_RETRY, max(LEAST_RETRY, waiting - self._max_wait)))
        now, times = time.monotonic(), min(MOST, max(LEAST, *self._times))
        left = math.inf if deadline is None else deadline - now
        alone, before = _seconds(runner) + OVERHEAD, _seconds_before(runner, deadline, beside)
        foreseen = alone + before
        if not before:
            self._alone.add(runner)
        needed = times * foreseen
        if needed > left and (beside or runner.knows_its_times):
            raise DeadlineTooShort(needed, left, needed - left if times * alone <= left else None)
        return foreseen

    def foresee(self, runner: JobRunner) -> tuple[float, float]:
        """Seconds of others' work before it, and of its own: of a job that goes on, or of one that came now."""
        others = (drawing for drawing in self._drawings.all() if drawing.runner is not runner)
        beside = [drawing for drawing in others if drawing.runner.lanes & runner.lanes]
        return _seconds_before(runner, None, beside), _seconds(runner) + OVERHEAD

    def ratios(self, alone: bool) -> list[float]:
        """Seconds that jobs took lately over those foreseen, in order: of those that came alone, or of the others."""
        return sorted(self._ratios[alone])

    def note_end(self, drawing: Drawing) -> None:
        """A job has ended: how long did it take? One that was given up before its deadline says nothing."""
        deadline, now = drawing.subscribers.deadline, time.monotonic()
        if not drawing.foreseen:
            return
        if drawing.state is JobState.SUCCEEDED:
            self._ratios[drawing.runner in self._alone].append((now - drawing.came) / drawing.foreseen)
        if deadline is not None and (drawing.state is JobState.SUCCEEDED or now >= deadline):
            more = 1.0 if drawing.state is JobState.SUCCEEDED else GIVEN_UP
            self._times.append(more * (now - drawing.came) / drawing.foreseen)

    def displaced_by(self, caller: object) -> Drawing | None:
        """The job that makes room for one of this caller: the last one in the queue of the caller that has most.

        None if that would only turn the tables: shares are equal when nobody has two jobs more than another.
        """
        count = Counter(drawing.caller for drawing in self._drawings.all())
        greedy, most = max(count.items(), key=lambda item: item[1], default=(None, 0))
        queued = [
            drawing
            for drawing in self._drawings.all()
            if drawing.caller == greedy and drawing.state is JobState.QUEUED and not drawing.lasts
        ]
        return queued[-1] if queued and most >= count[caller] + 2 else None

    def full(self) -> QueueFull:
        """The refusal of whoever comes now."""
        return QueueFull(len(self._drawings), _retry_after(self._drawings.all()))


def _retry_after(drawings: Iterable[Drawing]) -> float:
    """A place is free when the one with the least work left is done."""
    soonest = min(map(seconds_left, drawings), default=0.0)
    return min(MOST_RETRY, max(LEAST_RETRY, soonest))


def _seconds(runner: JobRunner) -> float:
    return runner.remaining / runner.pace


def seconds_left(drawing: Drawing) -> float:
    """Of work that the lanes will do for it: no more than until its last caller leaves, for then it is given up."""
    seconds = _seconds(drawing.runner)
    return seconds if drawing.lasts else min(seconds, max(0.0, drawing.subscribers.until - time.monotonic()))


def _seconds_before(runner: JobRunner, deadline: float | None, beside: Iterable[Drawing]) -> float:
    """What the lanes will have done for others when this job is done: callers get equal shares, each has a line.

    A caller with one job may have no other. Who has several is taken to go on asking, so its line is never shorter than
    the one before this job.
    """
    lines: dict[object, list[Drawing]] = {}
    for drawing in beside:
        lines.setdefault(drawing if drawing.caller is None else drawing.caller, []).append(drawing)
    own = lines.pop(runner.ticket.caller, [])
    ahead = sum(seconds_left(other) for other in own if _goes_before(other.runner, runner, deadline))
    line = ahead + _seconds(runner)
    singles = [drawings[0] for drawings in lines.values() if len(drawings) == 1]
    several = len(lines) - len(singles)
    return ahead + sum(min(seconds_left(other), line) for other in singles) + several * line


def _goes_before(other: JobRunner, runner: JobRunner, deadline: float | None) -> bool:
    """By the policy, within one line."""
    _, until, _ = other.ticket.standing()
    earlier = until is not None and (deadline is None or until <= deadline)
    return earlier or other.remaining <= runner.remaining
