"""The calls that watch one job: identical requests share one drawing, and each hears of it as if it were alone."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from safelight_server.jobs import Image, Previews, Priority, Started
from safelight_server.lanes.ticket import Ticket
from safelight_server.observer import SILENT, Observer

from .mailbox import Frame, Item, Mailbox


class Subscriber(NamedTuple):
    """One call that waits for the job, and until when: a time.monotonic()."""

    mailbox: Mailbox
    priority: Priority
    deadline: float | None


class Subscribers:
    """`priority` is the highest of theirs, `deadline` the first. Once all have left, both stay as they were."""

    def __init__(self, priority: Priority, observer: Observer = SILENT) -> None:
        self.priority = priority
        self.deadline: float | None = None
        self._observer = observer
        self._subscribers: list[Subscriber] = []
        self._lasting: list[Item] = []  # what a subscriber that comes later must hear, too

    def __len__(self) -> int:
        return len(self._subscribers)

    def join(self, previews: Previews | None, priority: Priority, deadline: float | None) -> Subscriber:
        subscriber = Subscriber(Mailbox(previews, self._observer), priority, deadline)
        for item in self._lasting:
            subscriber.mailbox.put(item)
        self._subscribers.append(subscriber)
        self._settle()
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        self._subscribers.remove(subscriber)
        self._settle()

    def put(self, item: Item) -> None:
        """An item for all of them."""
        if isinstance(item, Started | Image):
            self._lasting.append(item)
        for subscriber in self._subscribers:
            subscriber.mailbox.put(item)

    def show(self, frame: Frame, ticket: Ticket) -> None:
        """A preview for those who want one after this step; `ticket` is the job's.

        Whoever is waiting right now will paint it at once, and the ticket tells the lane so: the preview then comes
        before the next step, not after it.
        """
        for subscriber in self._subscribers:
            if subscriber.mailbox.due(frame.step):
                preview = ticket.beside(awaited=subscriber.mailbox.watched)
                subscriber.mailbox.put(replace(frame, ticket=preview))

    def close(self, error: BaseException | None = None) -> None:
        """The job has ended; each hears what is left, then `error`, if there is one."""
        for subscriber in self._subscribers:
            subscriber.mailbox.close(error)

    def _settle(self) -> None:
        if self._subscribers:
            self.priority = min(subscriber.priority for subscriber in self._subscribers)
            deadlines = (subscriber.deadline for subscriber in self._subscribers)
            self.deadline = min((deadline for deadline in deadlines if deadline is not None), default=None)
