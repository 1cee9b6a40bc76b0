"""One job's standing before the lanes: what the policy asks of it, kept current by whoever draws it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

from safelight_server.jobs import Priority

from .policy import Ready

_arrivals = itertools.count()


class Ticket:
    """`deadline` is a time.monotonic(). `remaining`, the seconds of work left, is set by the drawing at every step."""

    def __init__(
        self, priority: Priority = Priority.NORMAL, deadline: float | None = None, remaining: float = 0.0
    ) -> None:
        self.priority, self.deadline, self.remaining = priority, deadline, remaining
        self.served = 0.0  # seconds in which one of its steps ran
        self._came, self._order = time.monotonic(), next(_arrivals)
        self._on_leave: Callable[[], None] | None = None

    def beside(self) -> Ticket:
        """The claim of a small job that this one has beside it, a preview: soon done, and so soon at work."""
        return Ticket(self.priority, self.deadline)

    def ready(self, now: float) -> Ready:
        """As the policy sees it."""
        slack = None if self.deadline is None else self.deadline - now - self.remaining
        return Ready(self.priority, self.remaining, max(0.0, now - self._came - self.served), slack, self._order)

    def expected(self, on_leave: Callable[[], None]) -> None:
        """A lane waits a moment for its next step; `on_leave` tells the lane that there is none."""
        self._on_leave = on_leave

    def leave(self) -> None:
        """Nothing more to run for now: no lane need wait."""
        on_leave, self._on_leave = self._on_leave, None
        if on_leave is not None:
            on_leave()


ALONE = Ticket()  # of whoever has a lane to himself: the tools, and the warming before a server is ready
