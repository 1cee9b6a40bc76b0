"""Jobs at the moments that are easily forgotten: between two writes, two calls, or a call and the end of its time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.engine import watching
from safelight_server.engine.engine import Engine
from safelight_server.engine.job_book import JobBook, Work
from safelight_server.engine.job_record import Ask, JobView
from safelight_server.engine.resuming import Resuming
from safelight_server.errors import FinishShared, JobCancelled, JobNotFound, StoreFull
from safelight_server.events import Done, Event, Image, Progress, Started
from safelight_server.job_store.store import Store
from safelight_server.jobs import Job, JobState, OnDisconnect, Terms
from support.engines import XL, draw, plan, run

KEPT = Terms(OnDisconnect.KEEP, retain=60.0, request_id="mine")
SHORT = replace(KEPT, on_disconnect=OnDisconnect.GRACE, grace=0.05)


def book_on(store: Store, models: Mapping[str, Pipeline]) -> JobBook:
    return JobBook(Engine(models, slots=2, queue=2), store)


async def take(book: JobBook, job: Job = XL, terms: Terms = KEPT) -> str:
    async def work() -> Work:
        return Work(plan(job))

    return await book.take(Ask(terms, pack=lambda job: b"asked"), work)


async def told(book: JobBook, job_id: str) -> list[Event]:
    async with aclosing(watching.attach(book, job_id)) as events:
        return [event async for _, event in events]


async def first(book: JobBook, job_id: str, kind: type) -> None:
    async with aclosing(watching.attach(book, job_id)) as events:
        async for _, event in events:
            if isinstance(event, kind):
                return


def files(events: list[Event]) -> list[bytes]:
    return [event.data for event in events if isinstance(event, Image)]


def test_who_is_gone_before_the_job_is_stored_leaves_nothing_behind(
    models: Mapping[str, Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        store = Store(None, 2**28)
        book, reached, add = book_on(store, models), asyncio.Event(), store.add

        async def slow(*arguments: object) -> None:
            await add(*arguments)  # type: ignore[arg-type]
            reached.set()
            await asyncio.sleep(60)

        monkeypatch.setattr(store, "add", slow)
        taking = asyncio.create_task(take(book))
        await reached.wait()
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
        monkeypatch.undo()
        while await store.get(XL.id) is not None:  # noqa: ASYNC110 - it is removed by a task of its own
            await asyncio.sleep(0.01)
        assert not book.live
        assert not len(book.engine.drawings)
        assert files(await told(book, await take(book))), "and whoever asks again is drawn for"
        await store.close()

    run(test)


def test_who_was_not_answered_before_a_crash_asks_again_and_gets_that_job(
    models: Mapping[str, Pipeline], tmp_path: Path
) -> None:
    async def test() -> None:
        alone = await draw(Engine(models, slots=1, queue=0), XL)
        store = Store(tmp_path, 2**28)
        book = book_on(store, models)
        job_id = await take(book)  # it is stored; the answer is lost
        await book.engine.drain(0)  # as far as the store can tell, the process was killed
        await store.close()

        async def plan_again(request: bytes, job_id: str) -> object:
            assert request == b"asked"
            return plan(XL)

        store = Store(tmp_path, 2**28)
        book = book_on(store, models)
        Resuming(book, plan_again)  # type: ignore[arg-type]
        assert await take(book, replace(XL, id="another")) == job_id
        events = await told(book, job_id)
        assert files(events) == alone
        assert sum(isinstance(event, Started) for event in events) == 1
        await store.close()

    run(test)


@pytest.mark.parametrize("cancel_first", [False, True])
def test_one_cancels_and_another_finishes(cancel_first: bool, models: Mapping[str, Pipeline]) -> None:
    async def test() -> None:
        store = Store(None, 2**28)
        book = book_on(store, models)
        job_id = await take(book, replace(XL, steps=60))
        await first(book, job_id, Progress)
        reader = asyncio.create_task(told(book, job_id))
        await asyncio.sleep(0)
        calls = [book.finish(job_id), book.cancel(job_id)]
        views = await asyncio.gather(*(reversed(calls) if cancel_first else calls))
        assert JobState.CANCELLED in [view.state for view in views]
        with pytest.raises(JobCancelled):
            await reader
        found = await book.find(job_id)
        assert isinstance(found, JobView)
        assert found.state is JobState.CANCELLED
        assert not len(book.engine.drawings)
        await store.close()

    run(test)


def test_whoever_attached_before_its_time_was_over_hears_all(models: Mapping[str, Pipeline]) -> None:
    async def test() -> None:
        store = Store(None, 2**28)
        book = book_on(store, models)
        job_id = await take(book)
        await told(book, job_id)
        async with aclosing(watching.attach(book, job_id)) as events:
            heard = [(await anext(events)).item]
            await store.expire(book.clock.now() + 61)
            heard += [event async for _, event in events]
        assert [type(event) for event in heard] == [Started, Image, Done]
        with pytest.raises(JobNotFound):
            await book.find(job_id)
        await store.close()

    run(test)


def test_who_leaves_before_the_first_event_leaves_no_job_for_ever(models: Mapping[str, Pipeline]) -> None:
    async def test() -> None:
        store = Store(None, 2**28)
        book = book_on(store, models)
        for terms in (SHORT, Terms()):
            job_id = await take(book, replace(XL, steps=100), terms)
            reading = asyncio.create_task(told(book, job_id))
            await asyncio.sleep(0)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            while book.live:  # noqa: ASYNC110 - it ends by a task of its own
                await asyncio.sleep(0.01)
            assert not len(book.engine.drawings)
        await store.close()

    run(test)


def test_a_store_that_only_reads_refuses_what_must_be_kept_and_loses_nothing_else(
    models: Mapping[str, Pipeline], tmp_path: Path
) -> None:
    async def test() -> None:
        store = Store(tmp_path, 2**28)
        book = book_on(store, models)
        await store._database.ask(lambda connection: connection.execute("PRAGMA query_only = ON").fetchone())
        with pytest.raises(StoreFull, match="readonly"):
            await take(book)
        assert not book.live
        events = await told(book, await take(book, terms=replace(SHORT, grace=60.0)))
        assert files(events) == await draw(Engine(models, slots=1, queue=0), XL)
        (started,) = (event for event in events if isinstance(event, Started))
        assert any("lost if the server stops" in warning for warning in started.warnings)
        await store.close()

    run(test)


def test_a_drawing_that_others_wait_for_is_not_finished_early(models: Mapping[str, Pipeline]) -> None:
    async def test() -> None:
        store = Store(None, 2**28)
        book, long = book_on(store, models), replace(XL, steps=30)
        ids = [await take(book, replace(long, id=name), Terms()) for name in "ab"]
        readers = [asyncio.create_task(told(book, job_id)) for job_id in ids]
        await first(book, ids[0], Progress)
        with pytest.raises(FinishShared):
            await book.finish(ids[0])
        heard = [await reader for reader in readers]
        assert files(heard[0]) == files(heard[1])
        assert all(event.early is None for events in heard for event in events if isinstance(event, Image))
        await store.close()

    run(test)


def test_a_job_that_ends_with_its_callers_waits_for_them_and_not_for_ever(
    models: Mapping[str, Pipeline], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At first, and after a crash."""
    monkeypatch.setattr(watching, "AT_FIRST", 0.05)
    terms = replace(KEPT, on_disconnect=OnDisconnect.CANCEL)

    async def ended(book: JobBook, job_id: str) -> JobState:
        while not (row := await book.store.get(job_id)) or not row.state.final:  # noqa: ASYNC110 - by a timer
            await asyncio.sleep(0.01)
        return row.state

    async def test() -> None:
        store = Store(tmp_path, 2**28)
        book = book_on(store, models)
        job_id = await take(book, replace(XL, steps=100), terms)
        watching.expect(book, book.live[job_id])
        assert await ended(book, job_id) is JobState.CANCELLED
        left = await take(book, replace(XL, id="left", steps=100), replace(terms, request_id="other"))
        await book.engine.drain(0)
        await store.close()

        async def plan_again(request: bytes, job_id: str) -> object:
            raise AssertionError("nobody asks for it")

        store = Store(tmp_path, 2**28)
        book = book_on(store, models)
        await Resuming(book, plan_again).resume()  # type: ignore[arg-type]
        assert await ended(book, left) is JobState.CANCELLED
        await store.close()

    run(test)
