"""How jobs stand, for whoever asks: one, many of them, and what is kept of one that others go on from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from safelight_server.errors import CheckpointGone
from safelight_server.job_store.checkpoints import Checkpoint
from safelight_server.jobs import JobState

from .event_log import Numbered
from .job_book import UNFINISHED, JobBook
from .job_record import JobRecord, JobView, from_row


async def view(book: JobBook, job_id: str) -> JobView:
    """How a job stands, with the steps that are kept. Raises JobNotFound."""
    found = await book.find(job_id)
    kept: dict[int, list[int]] = {}
    for image, step in await book.store.kept_steps(job_id):
        kept.setdefault(image, []).append(step)
    return replace(found.view() if isinstance(found, JobRecord) else found, checkpoints=kept)


async def page(
    book: JobBook, count: int, before: tuple[float, str] | None, state: JobState | None, model: str
) -> list[JobView]:
    """The newest first, from just before (created, id)."""
    goes_on = state in UNFINISHED  # then the store does not know more
    live = [record.view() for record in book.live.values() if goes_on or not record.stored]
    unstored = [
        view
        for view in live
        if (before is None or (view.created, view.id) < before)
        and (state is None or view.state is state)
        and (not model or view.model == model)
    ]
    rows = [] if goes_on else await book.store.page(count, before, state, model)
    stored = [book.live[row.id].view() if row.id in book.live else from_row(row) for row in rows]
    return sorted([*unstored, *stored], key=lambda view: (view.created, view.id), reverse=True)[:count]


async def lasting(book: JobBook, job_id: str) -> Sequence[Numbered[Any]]:
    """The lasting events of a job so far. Who asks for them does not count as watching. Raises JobNotFound."""
    found = await book.find(job_id)
    if isinstance(found, JobRecord):
        return tuple(found.drawing.subscribers.events.lasting)
    return [Numbered(sequence, event) for sequence, event in await book.store.events(job_id)]


async def kept(book: JobBook, job_id: str, image: int, step: int | None) -> tuple[bytes, Checkpoint]:
    """The stored request of a job, and the checkpoint after `step` of one of its images; None: the last one.

    Raises JobNotFound, or CheckpointGone with the nearest step that is kept.
    """
    await book.find(job_id)
    row = await book.store.get(job_id)
    steps = [done for index, done in await book.store.kept_steps(job_id) if index == image]
    wanted = step if step is not None else max(steps, default=0)
    found = await book.store.checkpoint(job_id, image, wanted) if wanted in steps else None
    if row is None or found is None:
        raise CheckpointGone(job_id, step, min(steps, key=lambda done: abs(done - wanted), default=None))
    return row.request, found[0]
