"""A job's events for one call: while it is drawn, and after its end; and what becomes of a job that nobody watches."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from safelight_server.errors import JobCancelled, JobFailed, SequenceAhead
from safelight_server.events import Event
from safelight_server.jobs import JobState, OnDisconnect, Previews

from .event_log import Numbered
from .job_book import JobBook
from .job_record import JobRecord, JobView

log = logging.getLogger(__name__)

AT_FIRST = 60.0  # seconds that a job waits for its first caller, if it is to end with the last one


async def attach(
    book: JobBook, job_id: str, previews: Previews | None = None, deadline: float | None = None, after: int = 0
) -> AsyncGenerator[Numbered[Event], None]:
    """The lasting events of a job after a number, the newest of the others, then what happens, Done last.

    When the last one who attached leaves, it goes as the job's terms say. Raises JobNotFound, SequenceAhead, what
    Engine.watch raises, and what the job failed with.
    """
    found = await book.find(job_id)
    events = _ended(book, found, after) if isinstance(found, JobView) else _live(book, found, previews, deadline, after)
    async with aclosing(events):
        async for numbered in events:
            yield numbered


def expect(book: JobBook, record: JobRecord) -> None:
    """Nobody watches the job yet; somebody may."""
    if not record.watchers:
        _wait(book, record, AT_FIRST if record.terms.on_disconnect is OnDisconnect.CANCEL else record.terms.grace)


async def _live(
    book: JobBook, record: JobRecord, previews: Previews | None, deadline: float | None, after: int
) -> AsyncGenerator[Numbered[Event], None]:
    last = record.drawing.subscribers.events.last
    if after > last:
        raise SequenceAhead(after, last)
    record.stay()
    record.watchers += 1
    try:
        watching = book.engine.watch(record.drawing, previews, record.ask.priority, deadline, after, record)
        async with aclosing(watching) as events:
            async for numbered in events:
                yield numbered
    finally:
        record.watchers -= 1
        await _left(book, record)


async def _left(book: JobBook, record: JobRecord) -> None:
    if record.watchers or record.is_over:
        return
    if record.terms.on_disconnect is OnDisconnect.CANCEL:
        await book.end(record)
    else:
        _wait(book, record, record.terms.grace)


def _wait(book: JobBook, record: JobRecord, seconds: float) -> None:
    """Ends the job after so many seconds, if nobody comes, and if it is to end with its callers."""
    if record.terms.on_disconnect is not OnDisconnect.KEEP:
        log.debug("job %s waits %g s for somebody", record.id, seconds)
        record.wait(seconds, partial(book.end_later, record))


async def _ended(book: JobBook, view: JobView, after: int) -> AsyncGenerator[Numbered[Event], None]:
    if after > view.last_sequence:
        raise SequenceAhead(after, view.last_sequence)
    for sequence, event in await book.store.events(view.id, after):
        yield Numbered(sequence, event)
    if view.failure is not None:
        raise JobFailed(*view.failure)
    if view.state is JobState.CANCELLED:
        raise JobCancelled(view.id)
