"""What a job takes of memory: one that can never fit is refused at the door, and one that fits later waits for it."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from safelight_server.engine import memory
from safelight_server.engine.engine import Engine
from safelight_server.errors import MemoryShort
from safelight_server.jobs import JobState, Terms
from safelight_server.lanes.room import with_spare
from safelight_server.models import batch_profile
from safelight_server.models.known import ModelState
from safelight_server.models.library import Library
from safelight_server.models.registry import Registry
from support import compiled
from support.engines import CONFIGS, VEGA, XL, draw, events_of, load, plan, run

LARGE = replace(VEGA, id="large", size=(512, 512), steps=1)
Patch = pytest.MonkeyPatch


def _leave(monkeypatch: Patch, available: Callable[[], int]) -> None:
    monkeypatch.setattr(memory, "check", partial(memory.check, available=available))


def _needed(engine: Engine) -> int:
    return with_spare(max(run.whole for run in memory.runs_of(engine.models, plan(LARGE))))


async def _library(monkeypatch: Patch) -> Library:
    monkeypatch.setattr(batch_profile, "PATIENCE", 0.0)
    library = Library(Registry(max_edge=512), verified=None)
    for name in ("demo-vega", "demo-xl"):
        await library.add(name, CONFIGS[name], compiled.device())
        await library.load(name)
    return library


def test_under_a_limit_of_addresses_no_model_goes(monkeypatch: Patch) -> None:
    async def test() -> None:
        models = await _library(monkeypatch)
        engine = Engine(models, slots=4, queue=8)
        needed = _needed(engine)
        for one in models.known.values():
            one.memory = needed
        _leave(monkeypatch, lambda: 0)
        monkeypatch.setattr(resource, "getrlimit", lambda which: (2**40, resource.RLIM_INFINITY))
        with pytest.raises(MemoryShort):
            await draw(engine, LARGE)
        assert len(models.models) == 2

    run(test)


async def _running(engine: Engine, name: str) -> None:
    while not (drawing := engine.drawings.get(name)) or drawing.state is not JobState.RUNNING:  # noqa: ASYNC110 - nothing else tells
        await asyncio.sleep(0.001)


def test_a_model_that_nobody_draws_with_goes_for_a_job_that_lacks_memory(monkeypatch: Patch) -> None:
    async def test() -> None:
        library = await _library(monkeypatch)
        engine = Engine(library, slots=4, queue=8)
        needed = _needed(engine)
        for one in library.known.values():
            one.memory = needed
        _leave(monkeypatch, lambda: needed * (2 - len(library.models)))
        with pytest.raises(MemoryShort):
            async for _ in events_of(engine, plan(LARGE), terms=Terms(wait_for_model=False)):
                pass
        assert len(library.models) == 2
        assert await draw(engine, LARGE)
        assert library.known["demo-xl"].state is ModelState.UNLOADED
        assert library.known["demo-vega"].state is ModelState.LOADED

    run(test)


@pytest.mark.parametrize("comes_and_goes", [False, True])
def test_a_job_waits_for_memory_that_others_hold_while_they_draw(monkeypatch: Patch, comes_and_goes: bool) -> None:
    async def test() -> None:
        models = await _library(monkeypatch) if comes_and_goes else {n: load(n) for n in ("demo-vega", "demo-xl")}
        engine = Engine(models, slots=4, queue=8)
        needed = _needed(engine)
        monkeypatch.setattr(memory, "taken_by", lambda models, plans: sum(2 * needed for _ in plans))
        _leave(monkeypatch, lambda: 0 if engine.drawings.get("first") else needed)
        first = asyncio.create_task(draw(engine, replace(XL, id="first", steps=8)))
        await _running(engine, "first")
        large = asyncio.create_task(draw(engine, LARGE))
        await asyncio.sleep(0.05)
        assert not first.done()
        assert not engine.drawings.get("large"), "it is not let in yet"
        assert await first
        assert await large

    run(test)


def test_a_job_that_would_not_fit_after_the_others_does_not_wait(monkeypatch: Patch) -> None:
    async def test() -> None:
        engine = Engine({name: load(name) for name in ("demo-vega", "demo-xl")}, slots=4, queue=8)
        _leave(monkeypatch, lambda: 0 if engine.drawings.get("first") else 10**12)
        monkeypatch.setattr(memory, "taken_by", lambda models, plans: 0)
        first = asyncio.create_task(draw(engine, replace(XL, id="first", steps=8)))
        await _running(engine, "first")
        with pytest.raises(MemoryShort):
            await draw(engine, LARGE)
        assert not first.done()
        await first

    run(test)


def test_a_job_that_can_never_fit_is_refused_and_one_that_needs_nothing_new_is_not() -> None:
    models, large = {"demo-vega": load("demo-vega")}, plan(replace(VEGA, size=(512, 512)))
    needed = with_spare(max(run.whole for run in memory.runs_of(models, large)))
    memory.check(models, large, lambda: needed)
    with pytest.raises(MemoryShort) as refused:
        memory.check(models, large, lambda: needed - 1)
    assert refused.value.metadata == {"needed_bytes": str(needed), "free_bytes": str(needed - 1)}
    for one in memory.runs_of(models, large):
        one.network.buffers.note(one.shape, 0)
    memory.check(models, large, lambda: 0)
