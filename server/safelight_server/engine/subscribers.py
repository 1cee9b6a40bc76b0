"""Those who watch one drawing: identical jobs in flight are drawn once, and each client is told as if it were alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from safelight_server.jobs import Image, Job, Previews, Started
from safelight_server.lanes.policy import Priority
from safelight_server.lanes.ticket import Claim

from .mailbox import Frame, Item, Outbox


class Reader(NamedTuple):
    """One call that waits for the job, and until when: a time.monotonic()."""

    outbox: Outbox
    priority: Priority
    deadline: float | None


class Audience:
    """The readers of one drawing. `claim` has the highest of their priorities and the first of their deadlines."""

    def __init__(self, claim: Claim) -> None:
        self.closed = False  # then nobody can join any more
        self._claim = claim
        self._readers: list[Reader] = []
        self._lasting: list[Item] = []  # what a reader who comes later must hear, too

    def join(self, previews: Previews | None, priority: Priority, deadline: float | None) -> Reader:
        reader = Reader(Outbox(previews), priority, deadline)
        for item in self._lasting:
            reader.outbox.put(item)
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
            reader.outbox.put(item)

    def show(self, frame: Frame) -> list[Claim]:
        """A preview for those who want one after this step; the claims of those who are waiting for it right now."""
        awaited = []
        for reader in self._readers:
            if reader.outbox.due(frame.step):
                claim = self._claim.beside()
                awaited += [claim] if reader.outbox.watched else []
                reader.outbox.put(replace(frame, claim=claim))
        return awaited

    def close(self, error: BaseException | None = None) -> None:
        self.closed = True
        for reader in self._readers:
            reader.outbox.close(error)

    def _settle(self) -> None:
        if self._readers:
            self._claim.priority = min(reader.priority for reader in self._readers)
            self._claim.deadline = min(_deadlines(self._readers), default=None)


def _deadlines(readers: Sequence[Reader]) -> list[float]:
    return [reader.deadline for reader in readers if reader.deadline is not None]


def content(job: Job) -> bytes:
    """A digest of all that the job's pictures hang on: equal for jobs that one drawing can serve."""
    digest = hashlib.sha256(repr(replace(job, id="", priority=Priority.NORMAL, source=None)).encode())
    if job.source is not None:
        digest.update(repr(job.source.strength).encode() + job.source.picture.tobytes())
        digest.update(b"" if job.source.mask is None else job.source.mask.tobytes())
    return digest.digest()
