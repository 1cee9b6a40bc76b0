"""How jobs stand, for whoever asks: one, many of them, and what is kept of one that others go on from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from safelight_server.callers import calling
from safelight_server.errors import CheckpointGone
from safelight_server.events import Image, Rested
from safelight_server.job_store.checkpoints import Checkpoint
from safelight_server.jobs import JobState

from .event_log import Numbered
from .job_book import JobBook
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
    """Those that the caller sees, the newest first, from just before (created, id)."""
    caller = calling.get()
    owner = None if caller.sees_all else caller.name
    goes_on = state is not None and not state.final  # then the store does not know more
    live = [record.view() for record in book.live.values() if goes_on or not record.stored]
    unstored = [
        view
        for view in live
        if (before is None or (view.created, view.id) < before)
        and (state is None or view.state is state)
        and (not model or view.model == model)
        and caller.sees(view.owner)
    ]
    rows = [] if goes_on else await book.store.page(count, before, state, model, owner)
    stored = [book.live[row.id].view() if row.id in book.live else from_row(row) for row in rows]
    return sorted([*unstored, *stored], key=lambda view: (view.created, view.id), reverse=True)[:count]


async def lasting(book: JobBook, job_id: str) -> Sequence[Numbered[Any]]:
    """The lasting events of a job so far. Who asks for them does not count as watching. Raises JobNotFound."""
    found = await book.find(job_id)
    if isinstance(found, JobRecord):
        return tuple(found.drawing.subscribers.events.lasting)
    return [Numbered(sequence, event) for sequence, event in await book.store.events(job_id)]


async def picture(book: JobBook, job_id: str, index: int) -> Image | Rested | None:
    """The file of an image, finished or resting; None: not yet, or there is none such. Raises JobNotFound."""
    found = await book.find(job_id)
    if isinstance(found, JobView):
        event = await book.store.picture(job_id, index)
        return event if isinstance(event, Image | Rested) else None
    told = [item for _, item in found.drawing.subscribers.events.lasting if isinstance(item, Image | Rested)]
    return next((item for item in reversed(told) if item.index == index), None)


async def kept(book: JobBook, job_id: str, image: int, step: int | None) -> tuple[bytes, Checkpoint]:
    """The stored request of a job, and the checkpoint after `step` of one of its images; None: the last one.

    Raises JobNotFound, or CheckpointGone with the nearest step that is kept.
    """
    await book.find(job_id)
    steps = [done for index, done in await book.store.kept_steps(job_id) if index == image]
    wanted = step if step is not None else max(steps, default=0)
    found = await book.store.checkpoint(job_id, image, wanted) if wanted in steps else None
    request = await book.store.request(job_id)
    if found is None or not request:
        raise CheckpointGone(job_id, step, min(steps, key=lambda done: abs(done - wanted), default=None))
    return request, found[0]
