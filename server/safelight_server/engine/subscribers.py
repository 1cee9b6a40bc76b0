"""The calls that watch one drawing: identical requests share it, and each hears of it as if it were alone."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

from safelight_server.jobs import Previews, Priority
from safelight_server.lanes.ticket import Ticket
from safelight_server.observer import SILENT, Observer

from .event_log import EventLog
from .mailbox import Frame, Item, Mailbox


class Subscriber(NamedTuple):
    """One call that waits for the job `holder`, and until when: a time.monotonic()."""

    mailbox: Mailbox
    priority: Priority
    deadline: float | None
    holder: object = None


class Subscribers:
    """`priority` is the highest of theirs, `deadline` the first. Once all have left, both stay as they were."""

    def __init__(self, priority: Priority, observer: Observer = SILENT, events: EventLog | None = None) -> None:
        self.priority = priority
        self.deadline: float | None = None
        self.events = events or EventLog()
        self._observer = observer
        self._subscribers: list[Subscriber] = []

    def __len__(self) -> int:
        return len(self._subscribers)

    @property
    def until(self) -> float:
        """When the last of them leaves, a time.monotonic(): math.inf if one may stay, or if there is none."""
        deadlines = (
            math.inf if subscriber.deadline is None else subscriber.deadline for subscriber in self._subscribers
        )
        return max(deadlines, default=math.inf)

    @property
    def viewers(self) -> int:
        """Those that want previews."""
        return sum(subscriber.mailbox.wants_previews for subscriber in self._subscribers)

    def join(
        self,
        previews: Previews | None,
        priority: Priority,
        deadline: float | None,
        after: int = 0,
        holder: object = None,
    ) -> Subscriber:
        """One more, who has heard all up to number `after`."""
        subscriber = Subscriber(Mailbox(previews, self._observer), priority, deadline, holder)
        for sequence, item in self.events.since(after):
            if not isinstance(item, Frame) or previews:
                subscriber.mailbox.put(item, sequence)
        self._subscribers.append(subscriber)
        self._settle()
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        self._subscribers.remove(subscriber)
        self._settle()

    def put(self, item: Item) -> None:
        """An item for all of them."""
        sequence, _ = self.events.add(item)
        for subscriber in self._subscribers:
            subscriber.mailbox.put(item, sequence)

    def show(self, frame: Frame, ticket: Ticket) -> None:
        """A preview for those who want one after this step; `ticket` is the job's.

        Whoever is waiting right now will paint it at once, and the ticket tells the lane so: the preview then comes
        before the next step, not after it.
        """
        sequence, _ = self.events.add(frame)
        for subscriber in self._subscribers:
            if subscriber.mailbox.due(frame.step):
                preview = ticket.beside(awaited=subscriber.mailbox.watched)
                subscriber.mailbox.put(replace(frame, ticket=preview), sequence)

    def close(self, error: BaseException | None = None) -> None:
        """The job has ended; each hears what is left, then `error`, if there is one."""
        for subscriber in self._subscribers:
            subscriber.mailbox.close(error)

    def dismiss(self, holder: object, error: BaseException) -> None:
        """Those who watch for this job hear what is left, then the error."""
        for subscriber in self._subscribers:
            if subscriber.holder is holder:
                subscriber.mailbox.close(error)

    def _settle(self) -> None:
        if self._subscribers:
            self.priority = min(subscriber.priority for subscriber in self._subscribers)
            deadlines = (subscriber.deadline for subscriber in self._subscribers)
            self.deadline = min((deadline for deadline in deadlines if deadline is not None), default=None)
