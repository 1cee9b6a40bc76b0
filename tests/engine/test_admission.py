"""Who is let in: shares of a full queue, what can be done in time, and how many may share a job."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace

import pytest
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.engine import admission
from safelight_server.engine.engine import Engine
from safelight_server.engine.job_runner import JobRunner
from safelight_server.errors import DeadlineTooShort, QueueFull
from safelight_server.events import Event
from safelight_server.jobs import Job, Previews
from support.engines import VEGA, draw, events_of, plan, run

LONG = replace(VEGA, size=(256, 256), seeds=tuple(range(16)))


def job(name: str) -> Job:
    return replace(VEGA, id=name, seeds=(hash(name) % 2**32,))


async def come(engine: Engine, name: str, caller: str) -> AsyncGenerator[Event, None]:
    events = events_of(engine, plan(job(name)), caller=caller)
    await anext(events)
    return events


def test_a_full_queue_makes_room_for_who_has_less_than_his_share(models: Mapping[str, Pipeline]) -> None:
    async def test() -> None:
        engine = Engine(models, slots=1, queue=3)
        greedy = [await come(engine, f"greedy {place}", "greedy") for place in range(4)]
        with pytest.raises(QueueFull):
            await come(engine, "greedy 5", "greedy")
        modest = [await come(engine, f"modest {place}", "modest") for place in range(2)]
        with pytest.raises(QueueFull):  # they have two each now
            await come(engine, "modest 3", "modest")
        for displaced in greedy[2:]:
            with pytest.raises(QueueFull):
                async for _ in displaced:
                    pass
        assert len(engine.drawings) == 4
        for events in (*modest, *greedy):
            await events.aclose()
        assert not len(engine.drawings)

    run(test)


def test_what_cannot_be_done_in_time_is_refused_with_the_seconds_to_wait(models: Mapping[str, Pipeline]) -> None:
    async def test() -> None:
        engine = Engine(models, slots=2, queue=8)
        await draw(engine, VEGA)  # so that the lane knows how long it takes
        await draw(engine, replace(LONG, seeds=(1,)))
        busy = events_of(engine, plan(LONG))
        await anext(busy)
        record = engine.drawings.get(LONG.id)
        assert record
        work = record.runner.remaining
        late = replace(LONG, id="late", seeds=tuple(range(20, 36)))
        with pytest.raises(DeadlineTooShort) as caught:
            await anext(events_of(engine, plan(late), deadline=time.monotonic() + 1.8 * work))
        assert caught.value.retry_after
        assert caught.value.retry_after > 0
        with pytest.raises(DeadlineTooShort) as caught:
            await anext(events_of(engine, plan(job("never")), deadline=time.monotonic() + 0.0001))
        assert caught.value.retry_after is None, "not even alone"
        in_time = events_of(engine, plan(job("in time")), deadline=time.monotonic() + 3 * work)
        await anext(in_time)
        await in_time.aclose()
        await busy.aclose()

    run(test)


def test_there_is_an_end_to_the_work_that_may_wait(models: Mapping[str, Pipeline]) -> None:
    async def test() -> None:
        engine = Engine(models, slots=2, queue=8, max_wait=0.0001)
        await draw(engine, VEGA)
        busy = events_of(engine, plan(LONG))
        await anext(busy)
        with pytest.raises(QueueFull) as caught:
            await anext(events_of(engine, plan(job("next"))))
        assert caught.value.retry_after
        await busy.aclose()
        assert await draw(engine, job("alone"))

    run(test)


def test_a_job_keeps_others_waiting_no_longer_than_its_callers_stay(
    models: Mapping[str, Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        engine = Engine(models, slots=2, queue=8)
        await draw(engine, VEGA)  # so that the lane knows how long it takes
        first = events_of(engine, plan(LONG), deadline=time.monotonic() + 600)
        await anext(first)
        (drawing,) = engine.drawings.all()
        new = engine.prepare(plan(job("new")), b"", caller="new").runner
        assert 0 < engine.admission.foresee(new)[0] < 500
        monkeypatch.setattr(JobRunner, "pace", 1e-9)  # now each of them would take years
        assert 500 < engine.admission.foresee(new)[0] <= 600
        second = events_of(engine, plan(replace(LONG, id="shares it")))
        await anext(second)
        assert engine.admission.foresee(new)[0] > 600, "one of its callers stays"
        await second.aclose()
        assert engine.admission.foresee(new)[0] <= 600
        drawing.lasts = True
        assert engine.admission.foresee(new)[0] > 600, "it goes on without its caller"
        await first.aclose()

    run(test)


def test_so_many_may_share_a_job(models: Mapping[str, Pipeline], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MOST_SUBSCRIBERS", 3)

    async def test() -> None:
        engine = Engine(models, slots=1, queue=0)
        readers = [events_of(engine, plan(replace(LONG, id=str(place)))) for place in range(4)]
        for reader in readers[:3]:
            await anext(reader)
        with pytest.raises(QueueFull):
            await anext(readers[3])
        for reader in readers:
            await reader.aclose()

    run(test)


def test_fewer_may_see_its_previews(models: Mapping[str, Pipeline], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MOST_VIEWERS", 2)

    async def test() -> None:
        engine = Engine(models, slots=1, queue=0)
        asked = [None, Previews(), Previews(), Previews(every=0), None]
        readers = [events_of(engine, plan(replace(LONG, id=str(n))), asked[n]) for n in range(5)]
        for reader in readers:
            await anext(reader)
        with pytest.raises(QueueFull):
            await anext(events_of(engine, plan(replace(LONG, id="one more")), Previews()))
        for reader in readers:
            await reader.aclose()

    run(test)


def test_a_job_that_goes_on_does_not_wait_for_itself(models: Mapping[str, Pipeline]) -> None:
    async def test() -> None:
        engine = Engine(models, slots=1, queue=2)
        await draw(engine, VEGA)
        running = events_of(engine, plan(LONG), caller="one")
        await anext(running)
        (drawing,) = engine.drawings.all()
        assert engine.admission.foresee(drawing.runner)[0] == 0
        new = engine.prepare(plan(job("new")), b"", caller="two").runner
        assert engine.admission.foresee(new)[0] > 0
        await running.aclose()

    run(test)


def test_jobs_that_take_longer_than_was_foreseen_make_admission_more_careful(models: Mapping[str, Pipeline]) -> None:
    async def test() -> None:
        engine = Engine(models, slots=2, queue=8)
        await draw(engine, VEGA)
        ordinary = events_of(engine, plan(job("ordinary")))
        await anext(ordinary)
        record = engine.drawings.get("ordinary")
        assert record
        seconds = 1.05 * admission.AT_FIRST * record.foreseen
        await ordinary.aclose()
        hopeful = events_of(engine, plan(job("hopeful")), deadline=time.monotonic() + seconds)
        await anext(hopeful)
        await hopeful.aclose()
        slow = events_of(engine, plan(replace(LONG, id="slow")), deadline=time.monotonic() + 600)
        await anext(slow)
        shown = engine.drawings.get("slow")
        assert shown
        shown.came -= 3 * shown.foreseen  # its lane was slower than it had been
        shown.subscribers.deadline = 0.0
        await slow.aclose()
        with pytest.raises(DeadlineTooShort):
            await draw(engine, job("careful"), deadline=time.monotonic() + seconds)

    run(test)


def test_a_caller_with_several_jobs_is_taken_to_go_on_asking(models: Mapping[str, Pipeline]) -> None:
    """By the policy callers get equal shares: a line of three among two callers that refill theirs takes six turns."""

    async def foreseen(engine: Engine, name: str, caller: str) -> float:
        events = events_of(engine, plan(job(name)), deadline=time.monotonic() + 600, caller=caller)
        await anext(events)
        record = engine.drawings.get(name)
        assert record
        return record.foreseen

    async def test() -> None:
        engine = Engine(models, slots=8, queue=8)
        await draw(engine, VEGA)
        held = [await come(engine, f"{caller} {place}", caller) for caller in ("one", "other") for place in range(2)]
        third = await foreseen(engine, "one 3", "one")
        new = await foreseen(engine, "new 1", "new")
        assert third > 1.5 * new
        for events in held:
            await events.aclose()

    run(test)
