"""A job's place before the lanes: what the job asks for, and what lanes have done for it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import NamedTuple

from safelight_server.jobs import Priority

from .policy import Ready

_arrivals = itertools.count()


class Standing(NamedTuple):
    """What a job asks of the lanes at this moment."""

    priority: Priority = Priority.NORMAL
    deadline: float | None = None  # a time.monotonic()
    remaining: float | None = None  # seconds of work left; None: the inference that it asks for is all


class Ticket:
    """Comes with every inference that a job asks for. A lane asks `standing` anew at each choice.

    The owner of a ticket changes nothing in it: it answers `standing`, and says by `leave` that nothing more comes.
    `expect`, `leave_with` and `served` are for lanes.
    """

    def __init__(self, standing: Callable[[], Standing] = Standing, caller: object = None) -> None:
        self.standing = standing
        self.caller = caller  # jobs of one caller share its part of the lane; None: it stands for itself
        self._came, self._order = time.monotonic(), next(_arrivals)
        self._served = 0.0  # seconds in which one of its inferences ran
        self._expect: Callable[[Ticket], None] | None = None
        self._on_leave: Callable[[], None] | None = None

    def beside(self, *, awaited: bool) -> Ticket:
        """The ticket of a preview of this job: as urgent as the job itself, but soon done.

        `awaited`: the preview will be asked for in a moment, so the lane that has just served the job waits for it.
        """
        preview = Ticket(lambda: self.standing()._replace(remaining=None), self.caller)
        if awaited and self._expect is not None:
            self._expect(preview)
        return preview

    def leave(self) -> None:
        """The job asks for nothing more for now: no lane need wait for it."""
        on_leave, self._on_leave = self._on_leave, None
        if on_leave is not None:
            on_leave()

    def ready(self, now: float, seconds: float) -> Ready:
        """The step that it asks for, as the policy sees it; `seconds` is how long the lane thinks that step takes."""
        priority, deadline, remaining = self.standing()
        remaining = seconds if remaining is None else remaining
        slack = None if deadline is None else deadline - now - remaining
        waited = max(0.0, now - self._came - self._served)
        return Ready(priority, remaining, waited, slack, self._order, self.caller)

    def served(self, seconds: float, expect: Callable[[Ticket], None]) -> None:
        """One of its inferences ran so long; `expect` tells that lane of a preview that is about to be asked for."""
        self._served += seconds
        self._expect = expect

    def leave_with(self, on_leave: Callable[[], None]) -> None:
        """A lane waits a moment for its next inference; `on_leave` is called as soon as there will be none."""
        self._on_leave = on_leave
