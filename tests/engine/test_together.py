"""The images of one job: drawn together where batches pay, and for everybody else as if they were drawn one by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.engine import watching
from safelight_server.engine.engine import Engine
from safelight_server.engine.job_book import JobBook, Work
from safelight_server.engine.job_record import Ask
from safelight_server.engine.resuming import Resuming
from safelight_server.engine.together import all_of
from safelight_server.events import Event, Image, Preview, Progress
from safelight_server.job_store.store import Store
from safelight_server.jobs import Job, OnDisconnect, Previews, Terms
from support.engines import VEGA, XL, Inferences, draw, events_of, load, plan, run
from support.networks import allow_unchanging_batches

SEEDS = (7, 8, 9, 10, 11)
KEPT = Terms(OnDisconnect.KEEP, retain=60.0, request_id="mine")


class Joining(NamedTuple):
    """Models whose batches all pay that change no bit, and what their lanes run."""

    models: Mapping[str, Pipeline]
    most: Mapping[str, int]  # rows of the largest batch of each
    inferences: Inferences

    def engine(self) -> Engine:
        self.inferences.ended.clear()
        return Engine(self.models, slots=4, queue=4)

    @property
    def unet_rows(self) -> list[int]:
        return [rows for part, rows in self.inferences.ended if part == "unet"]


@pytest.fixture(scope="module")
def joining() -> Joining:
    inferences = Inferences()
    found = {name: load(name, observer=inferences) for name in ("demo-xl", "demo-vega")}
    most = {name: asyncio.run(allow_unchanging_batches(model)) for name, model in found.items()}
    if min(most.values()) < 4:
        pytest.skip("this processor rounds batches otherwise, so a server joins none here")
    return Joining(found, most, inferences)


async def told(engine: Engine, job: Job, previews: Previews | None = None) -> list[Event]:
    async with aclosing(events_of(engine, plan(job), previews)) as events:
        return [event async for event in events]


@pytest.mark.parametrize("job", [VEGA, XL], ids=["vega", "xl"])
def test_images_of_one_job_share_batches_and_are_those_drawn_alone(job: Job, joining: Joining) -> None:
    """xl is guided: each image has two rows, so that a batch of four holds two images."""

    async def test() -> None:
        alone = [await draw(joining.engine(), replace(job, id=f"{seed}", seeds=(seed,))) for seed in SEEDS]
        events = await told(joining.engine(), replace(job, seeds=SEEDS))
        images = [event for event in events if isinstance(event, Image)]
        assert [[image.data] for image in images] == alone
        assert [image.index for image in images] == list(range(len(SEEDS)))
        assert max(joining.unet_rows) >= 4, "they were joined"
        assert max(joining.unet_rows) <= joining.most[job.model]
        assert len(joining.unet_rows) < len(SEEDS) * job.steps
        progress = [(event.index, event.step) for event in events if isinstance(event, Progress)]
        assert progress == sorted(progress), "as if one came after the other"
        assert {index for index, _ in progress} == set(range(len(SEEDS)))

    run(test)


def test_who_watches_previews_sees_the_images_one_after_the_other(joining: Joining) -> None:
    async def test() -> None:
        events = await told(joining.engine(), replace(VEGA, seeds=(7, 8)), Previews(tiny=False))
        shown = [(event.index, event.step) for event in events if isinstance(event, Preview)]
        assert shown == sorted(shown)
        assert {index for index, _ in shown} == {0, 1}
        assert set(joining.unet_rows) == {1}

    run(test)


def test_where_no_batch_pays_they_come_one_after_the_other(models: Mapping[str, Pipeline]) -> None:
    async def test() -> None:
        events = await told(Engine(models, slots=1, queue=0), replace(VEGA, seeds=(7, 8)))
        first = next(at for at, event in enumerate(events) if isinstance(event, Image))
        assert [e.index for e in events[first:] if isinstance(e, Progress)] == [1] * VEGA.steps

    run(test)


def test_a_job_that_is_cancelled_leaves_nothing_of_any_image_behind(joining: Joining) -> None:
    async def test() -> None:
        engine = joining.engine()
        async with aclosing(events_of(engine, plan(replace(VEGA, seeds=SEEDS, steps=50)))) as events:
            async for event in events:
                if isinstance(event, Progress):
                    break
        assert not len(engine.drawings)
        ran = len(joining.unet_rows)
        (alone,) = await draw(engine, VEGA)
        assert alone
        assert joining.unet_rows[ran:] == [1] * VEGA.steps, "nobody else's row is in the batch"

    run(test)


@asynccontextmanager
async def taken(joining: Joining, job: Job, folder: Path) -> AsyncGenerator[tuple[JobBook, str], None]:
    """A job that lasts, in a book on a store in this folder."""

    async def work() -> Work:
        return Work(plan(job))

    async def plan_again(request: bytes, job_id: str) -> object:
        return plan(job)

    store = Store(folder, 2**28)
    try:
        book = JobBook(joining.engine(), store)
        Resuming(book, plan_again)  # type: ignore[arg-type]
        yield book, await book.take(Ask(KEPT, pack=lambda job: b"asked"), work)
    finally:
        await store.close()


async def files_of(book: JobBook, job_id: str) -> list[bytes]:
    async with aclosing(watching.attach(book, job_id)) as events:
        return [event.data async for _, event in events if isinstance(event, Image)]


async def wait_for(book: JobBook, job_id: str, kind: type[Event], count: int) -> None:
    async with aclosing(watching.attach(book, job_id)) as events:
        async for _, event in events:
            count -= isinstance(event, kind)
            if not count:
                return


@pytest.mark.parametrize(("kind", "count"), [(Progress, 3), (Image, 1)], ids=["in the steps", "between two pictures"])
def test_a_job_goes_on_after_a_stop_with_the_same_pictures(
    kind: type[Event], count: int, joining: Joining, tmp_path: Path
) -> None:
    async def test() -> None:
        job = replace(XL, seeds=SEEDS[:3], steps=8)
        alone = await draw(joining.engine(), job)
        async with taken(joining, job, tmp_path) as (book, job_id):
            await wait_for(book, job_id, kind, count)
            await book.engine.drain(0)
        async with taken(joining, job, tmp_path) as (book, again):
            assert again == job_id
            assert await files_of(book, job_id) == alone

    run(test)


def test_every_image_has_steps_that_forks_may_begin_at(joining: Joining, tmp_path: Path) -> None:
    async def test() -> None:
        job = replace(XL, seeds=SEEDS[:3], steps=8)
        async with taken(joining, job, tmp_path) as (book, job_id):
            assert len(await files_of(book, job_id)) == 3
            kept = set(await book.store.kept_steps(job_id))
        assert kept >= {(image, step) for image in range(3) for step in (2, 4, 6)}

    run(test)


def test_a_job_that_is_finished_early_gives_each_image_that_was_begun(joining: Joining, tmp_path: Path) -> None:
    async def test() -> None:
        job = replace(XL, seeds=SEEDS[:3], steps=300)
        async with taken(joining, job, tmp_path) as (book, job_id):
            await wait_for(book, job_id, Progress, 1)
            await book.finish(job_id)
            async with aclosing(watching.attach(book, job_id)) as events:
                images = [event async for _, event in events if isinstance(event, Image)]
        assert [image.index for image in images] == list(range(min(3, joining.most["demo-xl"] // 2)))
        assert all(image.early is not None and image.early < job.steps for image in images)

    run(test)


def test_if_one_of_several_fails_the_others_have_ended_before_it_is_told() -> None:
    ended = list[str]()

    async def fails() -> None:
        await asyncio.sleep(0)
        raise LookupError

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("waits")

    async def test() -> None:
        with pytest.raises(LookupError):
            await all_of([waits(), fails()])
        assert ended == ["waits"]

    run(test)
