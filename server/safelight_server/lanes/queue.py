"""What waits before a lane, and what of it goes next: the policy's choice, and those that join it in one batch."""

from __future__ import annotations

import time
from collections.abc import Sequence

from . import policy
from .batching import Batching, Entry
from .network import Network
from .step_times import StepTimes
from .ticket import Ticket

CALLERS_KEPT = 1024  # of those that were served last


class Queue:
    """Entries of one lane, by the lane's own step times and batches."""

    def __init__(self, step_times: StepTimes, batching: Batching) -> None:
        self._step_times, self._batching = step_times, batching
        self._waiting: list[Entry] = []
        self._last_served: dict[object, tuple[Ticket, float]] = {}  # by caller: which ticket, and when its step ended

    def __contains__(self, entry: Entry) -> bool:
        return entry in self._waiting

    @property
    def runnable(self) -> list[Entry]:
        """Those whose network is not broken; the others wait until it is healed."""
        return [entry for entry in self._waiting if not entry.network.broken]

    def add(self, entry: Entry) -> None:
        self._waiting.append(entry)

    def remove(self, entry: Entry) -> None:
        self._waiting.remove(entry)

    def remove_all(self, network: Network) -> list[Entry]:
        """Takes out, and gives, all entries for a network."""
        removed = [entry for entry in self._waiting if entry.network is network]
        self._waiting = [entry for entry in self._waiting if entry.network is not network]
        return removed

    def take(self, runnable: Sequence[Entry]) -> list[Entry]:
        """Takes out the batch that goes next; `runnable` is not empty."""
        if len(runnable) == 1:
            self._waiting.remove(runnable[0])
            return [*runnable]
        now = time.monotonic()
        ranks = policy.rank([self._ready(entry, now) for entry in runnable])
        urgency = dict(zip(runnable, ranks, strict=True))
        first = min(runnable, key=urgency.__getitem__)
        alike = [entry for entry in runnable if entry is not first and entry.joins(first)]
        batch = self._batching.batch(first, sorted(alike, key=urgency.__getitem__))
        for entry in batch:
            self._waiting.remove(entry)
        return batch

    def note_served(self, batch: Sequence[Entry]) -> None:
        """These have just run."""
        now = time.monotonic()
        for ticket in (entry.ticket for entry in batch if entry.ticket.caller is not None):
            self._last_served.pop(ticket.caller, None)
            self._last_served[ticket.caller] = ticket, now
        while len(self._last_served) > CALLERS_KEPT:
            del self._last_served[next(iter(self._last_served))]

    def estimate(self, entry: Entry) -> float:
        """Seconds."""
        return self._step_times.seconds(entry.network.name, entry.shape)

    def _ready(self, entry: Entry, now: float) -> policy.Ready:
        """As the policy sees it."""
        ready = entry.ticket.ready(now, self.estimate(entry))
        last, ended = self._last_served.get(ready.caller, (entry.ticket, 0.0))
        return ready if last is entry.ticket else ready._replace(unserved=now - ended)
