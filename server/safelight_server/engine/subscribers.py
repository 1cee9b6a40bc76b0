"""Those who watch one drawing: identical jobs in flight are drawn once, and each client is told as if it were alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from safelight_server.jobs import Image, Job, Previews, Priority, Started
from safelight_server.lanes.ticket import Ticket

from .mailbox import Frame, Item, Mailbox


class Reader(NamedTuple):
    """One call that waits for the job, and until when: a time.monotonic()."""

    mailbox: Mailbox
    priority: Priority
    deadline: float | None


class Subscribers:
    """The readers of one drawing. `claim` has the highest of their priorities and the first of their deadlines."""

    def __init__(self, ticket: Ticket) -> None:
        self.closed = False  # then nobody can join any more
        self._ticket = ticket
        self._readers: list[Reader] = []
        self._lasting: list[Item] = []  # what a reader who comes later must hear, too

    def join(self, previews: Previews | None, priority: Priority, deadline: float | None) -> Reader:
        reader = Reader(Mailbox(previews), priority, deadline)
        for item in self._lasting:
            reader.mailbox.put(item)
        self._readers.append(reader)
        self._settle()
        return reader

    def leave(self, reader: Reader) -> bool:
        """Whether that was the last one: then there is nobody to draw for."""
        self._readers.remove(reader)
        self._settle()
        return not self._readers

    def put(self, item: Item) -> None:
        if isinstance(item, Started | Image):
            self._lasting.append(item)
        for reader in self._readers:
            reader.mailbox.put(item)

    def show(self, frame: Frame) -> list[Ticket]:
        """A preview for those who want one after this step; the claims of those who are waiting for it right now."""
        awaited = []
        for reader in self._readers:
            if reader.mailbox.due(frame.step):
                ticket = self._ticket.beside()
                awaited += [ticket] if reader.mailbox.watched else []
                reader.mailbox.put(replace(frame, ticket=ticket))
        return awaited

    def close(self, error: BaseException | None = None) -> None:
        self.closed = True
        for reader in self._readers:
            reader.mailbox.close(error)

    def _settle(self) -> None:
        if self._readers:
            self._ticket.priority = min(reader.priority for reader in self._readers)
            self._ticket.deadline = min(_deadlines(self._readers), default=None)


def _deadlines(readers: Sequence[Reader]) -> list[float]:
    return [reader.deadline for reader in readers if reader.deadline is not None]


def content(job: Job) -> bytes:
    """A digest of all that the job's pictures hang on: equal for jobs that one drawing can serve."""
    digest = hashlib.sha256(repr(replace(job, id="", priority=Priority.NORMAL, source=None)).encode())
    if job.source is not None:
        digest.update(repr(job.source.strength).encode() + job.source.picture.tobytes())
        digest.update(b"" if job.source.mask is None else job.source.mask.tobytes())
    return digest.digest()
