"""Models that come and go under an engine at work: loaded when asked for, unloaded when idle or in the way."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from safelight_server import demo
from safelight_server.engine import estimate
from safelight_server.engine.engine import Engine
from safelight_server.errors import (
    DeadlineTooShort,
    JobError,
    LoadError,
    ModelLoading,
    ModelNotFound,
    ModelTooLarge,
    ModelUnloaded,
    ModelUnusable,
)
from safelight_server.events import Image
from safelight_server.jobs import Job, Terms
from safelight_server.lanes.buffers import resident
from safelight_server.model_folder import model_config
from safelight_server.models.known import ModelState
from safelight_server.models.library import Library
from safelight_server.models.registry import Registry
from safelight_server.models.verified import Verified
from support import compiled
from support.engines import CONFIGS, VEGA, XL, draw, events_of, plan, run

DEVICE = compiled.device()
pytestmark = pytest.mark.usefixtures("quick")
UNLOADED, LOADED = ModelState.UNLOADED, ModelState.LOADED


async def library_of(*names: str, limit: int | None = None) -> Library:
    """Nothing is loaded."""
    library = Library(Registry(max_edge=512), limit=limit, verified=None)
    for name in names:
        await library.add(name, CONFIGS[name], DEVICE)
    return library


def engine_of(library: Library) -> Engine:
    return Engine(library, slots=4, queue=8)


def states(library: Library) -> list[ModelState]:
    return [one.state for one in library.known.values()]


def test_what_is_known_of_a_model_before_it_is_loaded_is_what_is_known_after() -> None:
    async def test() -> None:
        library = await library_of("demo-xl", "demo-vega", "demo-refiner")
        before = library.infos
        assert list(before) == ["demo-xl", "demo-vega", "demo-refiner"]
        assert before["demo-xl"].refiners == ("demo-vega", "demo-refiner")
        assert not library.models
        for name in before:
            await library.load(name)
            loaded = library.infos[name]
            assert set(loaded.precisions.values()) == {loaded.precision} == {"f32"}
            assert replace(loaded, precision="", precisions={}, surgery="", tokenizer=None) == replace(
                before[name], tokenizer=None
            )

    run(test)


def test_a_job_loads_its_model_and_draws_the_same_picture_each_time() -> None:
    async def test() -> None:
        library = await library_of("demo-xl", "demo-vega")
        engine = engine_of(library)
        right = await draw(engine, VEGA)
        assert states(library) == [UNLOADED, LOADED]
        for _ in range(2):
            await library.unload("demo-vega")
            assert states(library) == [UNLOADED, UNLOADED]
            assert engine.ready
            assert engine.health() == {"demo-xl": True, "demo-vega": True}, "they are served, after a moment"
            assert await draw(engine, VEGA) == right

    run(test)


def test_many_that_ask_at_once_load_it_once_and_are_all_answered(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    async def test() -> None:
        library = await library_of("demo-vega")
        engine = engine_of(library)
        jobs = [replace(VEGA, id=str(i), seeds=(i,)) for i in range(8)]
        pictures = await asyncio.gather(*(draw(engine, job) for job in jobs))
        assert len({picture[0] for picture in pictures}) == 8
        assert sum("is loaded" in record.getMessage() for record in caplog.records) == 1
        assert not library.known["demo-vega"].holds

    run(test)


def test_a_job_keeps_its_model_until_it_is_over() -> None:
    async def test() -> None:
        library = await library_of("demo-xl", "demo-vega")
        engine = engine_of(library)
        right = await draw(engine, XL)
        began = asyncio.Event()
        drawing = asyncio.create_task(_draw_and_tell(engine, XL, began))
        await began.wait()
        unloading = asyncio.create_task(library.unload("demo-xl"))
        await asyncio.sleep(0.05)
        assert not unloading.done(), "there is a job"
        late = asyncio.create_task(draw(engine, replace(XL, id="late", seeds=(1,))))
        assert await drawing == right
        await unloading
        assert len(await late) == 1, "it waits, and has the model loaded again"
        assert library.known["demo-xl"].state is LOADED

    run(test)


async def _draw_and_tell(engine: Engine, job: Job, began: asyncio.Event) -> list[bytes]:
    files = []
    async for event in events_of(engine, plan(job)):
        began.set()
        if isinstance(event, Image):
            files.append(event.data)
    return files


async def _until(library: Library, name: str, state: ModelState) -> None:
    while library.known[name].state is not state:  # noqa: ASYNC110 - nothing else tells
        await asyncio.sleep(0.001)


def test_an_unload_that_is_given_up_changes_nothing() -> None:
    async def test() -> None:
        library = await library_of("demo-vega")
        await library.load("demo-vega")
        async with library.held(["demo-vega"]):
            unloading = asyncio.create_task(library.unload("demo-vega"))
            await asyncio.sleep(0.01)
            unloading.cancel()
            await asyncio.wait({unloading})
        assert states(library) == [LOADED]
        assert await draw(engine_of(library), VEGA)

    run(test)


def test_of_two_unloads_one_that_is_given_up_does_not_stop_the_other() -> None:
    async def test() -> None:
        library = await library_of("demo-vega")
        await library.load("demo-vega")
        async with library.held(["demo-vega"]):
            first, second = (asyncio.create_task(library.unload("demo-vega")) for _ in range(2))
            await asyncio.sleep(0.01)
            first.cancel()
            await asyncio.wait({first})
        await second
        assert states(library) == [UNLOADED]

    run(test)


@pytest.mark.parametrize("by", ["give", "unload_idle", "unload"])
def test_what_is_held_stays_however_the_turns_of_the_loop_fall(by: str) -> None:
    async def test() -> None:
        library = await library_of("demo-vega")
        await library.load("demo-vega")

        async def give() -> None:
            while states(library) == [LOADED]:
                await library.give(())

        def unload_idle() -> Awaitable[None]:
            return library.unload_idle(0.0)

        def unload() -> Awaitable[None]:
            return library.unload("demo-vega")

        ways: dict[str, Callable[[], Awaitable[None]]] = {"give": give, "unload_idle": unload_idle, "unload": unload}
        unloading = asyncio.ensure_future(ways[by]())
        while states(library) == [LOADED]:
            async with library.held(["demo-vega"]):
                await asyncio.sleep(0)
                assert "demo-vega" in library.models
            await asyncio.sleep(0)
        async with library.held(["demo-vega"]):
            assert "demo-vega" in library.models, "it was loaded again"
        unloading.cancel()
        await asyncio.wait({unloading})

    run(test)


def test_a_caller_who_leaves_while_it_loads_leaves_a_model_that_works() -> None:
    async def test() -> None:
        library = await library_of("demo-vega")
        engine = engine_of(library)
        call = asyncio.create_task(draw(engine, VEGA))
        await _until(library, "demo-vega", ModelState.LOADING)
        assert engine.health() == {"demo-vega": False}
        call.cancel()
        await asyncio.wait({call})
        assert await draw(engine, replace(VEGA, id="next"))
        assert not library.known["demo-vega"].holds

    run(test)


def test_who_does_not_want_to_wait_is_told_when_to_come_back() -> None:
    async def test() -> None:
        library = await library_of("demo-vega")
        engine = engine_of(library)
        for _ in range(3):
            with pytest.raises(ModelLoading) as refused:
                async for _ in events_of(engine, plan(VEGA), terms=Terms(wait_for_model=False)):
                    pass
            assert refused.value.retry_after
            await asyncio.sleep(0)
        await library.load("demo-vega")
        assert await draw(engine, VEGA)

    run(test)


def test_a_deadline_that_loading_would_miss_is_refused_at_once() -> None:
    async def test() -> None:
        library = await library_of("demo-vega")
        await library.load("demo-vega")
        await library.unload("demo-vega")
        with pytest.raises(DeadlineTooShort):
            await draw(engine_of(library), VEGA, deadline=time.monotonic() + 0.05)
        assert states(library) == [UNLOADED]

    run(test)


def test_nothing_is_foreseen_of_a_model_that_is_not_loaded() -> None:
    async def test() -> None:
        library = await library_of("demo-vega")
        with pytest.raises(ModelUnloaded):
            estimate.estimate(engine_of(library), plan(VEGA))

    run(test)


def test_under_a_limit_the_one_goes_that_nobody_wanted_for_longest() -> None:
    async def test() -> None:
        library = await library_of("demo-vega", "demo-refiner", "demo-xl")
        engine = engine_of(library)
        for name in ("demo-vega", "demo-refiner"):
            await library.load(name)
        right = await draw(engine, VEGA)  # so that the refiner is the one that nobody wanted for longest
        needs = library.known["demo-xl"].needs
        limited = await _with_limit(library, resident() + needs - 1)
        assert await draw(limited, XL)
        assert [one.state for one in library.known.values()] == [LOADED, UNLOADED, LOADED]
        assert await draw(limited, replace(VEGA, id="again")) == right

    run(test)


async def _with_limit(library: Library, limit: int) -> Engine:
    library.limit = limit
    return engine_of(library)


def test_what_does_not_fit_alone_is_refused_and_what_waits_for_room_gets_it() -> None:
    async def test() -> None:
        library = await library_of("demo-xl", "demo-vega")
        engine = await _with_limit(library, resident() // 2)
        with pytest.raises(ModelTooLarge) as refused:
            await draw(engine, XL)
        assert refused.value.code == "FAILED_PRECONDITION"
        library.limit = None
        await library.load("demo-xl")
        library.limit = resident() + library.known["demo-vega"].needs - 1
        began = asyncio.Event()
        drawing = asyncio.create_task(_draw_and_tell(engine, XL, began))
        await began.wait()
        other = asyncio.create_task(draw(engine, VEGA))
        await asyncio.sleep(0.05)
        assert library.known["demo-xl"].state is LOADED, "never under a job"
        assert await drawing
        assert await other
        assert states(library) == [UNLOADED, LOADED]

    run(test)


def test_a_model_is_not_loaded_into_memory_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it is known what it takes; a guess keeps nobody from trying."""

    async def test() -> None:
        library = await library_of("demo-vega", "demo-xl")
        monkeypatch.setattr("safelight_server.models.exchange.available", lambda: 0)
        await library.load("demo-vega")
        await library.load("demo-xl")
        needs = library.known["demo-vega"].needs
        await library.unload("demo-vega")
        monkeypatch.setattr("safelight_server.models.exchange.available", lambda: needs - ("demo-xl" in library.models))
        await library.load("demo-vega")
        assert states(library) == [LOADED, UNLOADED]
        await library.unload("demo-vega")
        monkeypatch.setattr("safelight_server.models.exchange.available", lambda: 0)
        with pytest.raises(ModelTooLarge):
            await library.load("demo-vega")

    run(test)


def test_two_jobs_that_each_need_two_models_do_not_wait_for_each_other() -> None:
    async def test() -> None:
        library = await library_of("demo-xl", "demo-vega", "demo-refiner")
        xl, vega, refiner = "demo-xl", "demo-vega", "demo-refiner"
        await library.load("demo-xl")
        library.limit = resident() + library.known["demo-vega"].needs  # two of three

        async def use(names: Sequence[str]) -> None:
            for _ in range(3):
                async with library.held(names):
                    assert all(name in library.models for name in names)
                    await asyncio.sleep(0.01)

        await asyncio.gather(*(use(names) for names in ((xl, refiner), (refiner, vega), (vega, xl))))

    run(test)


def test_what_nobody_asks_for_is_unloaded_and_what_is_drawn_is_not() -> None:
    async def test() -> None:
        library = await library_of("demo-xl", "demo-vega")
        engine = engine_of(library)
        await draw(engine, VEGA)
        looking = asyncio.create_task(library.unload_idle(0.2))
        began = asyncio.Event()
        long = replace(XL, steps=60)
        drawing = asyncio.create_task(_draw_and_tell(engine, long, began))
        await began.wait()
        await _until(library, "demo-vega", UNLOADED)
        assert await drawing, "longer than 0.2 s"
        await _until(library, "demo-xl", UNLOADED)
        looking.cancel()

    run(test)


def test_a_model_that_cannot_be_loaded_is_said_so_and_tried_again_later(tmp_path: Path) -> None:
    folder = tmp_path / "demo-vega"
    for name in ("demo-xl", "demo-vega"):  # which shares parts with the first
        shutil.copytree(demo.FOLDERS[name], tmp_path / name)

    async def test() -> None:
        library = Library(Registry(max_edge=512), verified=Verified())
        await library.add("m", model_config.read(folder), DEVICE)
        engine = engine_of(library)
        job = replace(VEGA, model="m")
        weights = folder / "unet/openvino_model.bin"
        right = weights.read_bytes()
        weights.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
        with pytest.raises(ModelUnusable) as refused:
            await _take(engine, job)
        assert str(tmp_path) not in str(refused.value), "files are for the log"
        assert library.known["m"].state is ModelState.FAILED
        assert engine.health() == {"m": False}
        assert engine.ready, "of the server as a whole: one model more or less"
        weights.write_bytes(right)
        with pytest.raises(ModelUnusable):
            await _take(engine, job)  # not at every request
        library.known["m"].failed -= 60
        await _take(engine, job)
        await library.unload("m")
        shutil.rmtree(folder)
        shutil.copytree(demo.FOLDERS["demo-refiner"], folder)
        with pytest.raises(LoadError, match="changed while the server ran"):
            await library.load("m")

    run(test)


async def _take(engine: Engine, job: Job) -> None:
    async with engine.library.held([job.model]):
        assert job.model in engine.models


def test_a_name_that_is_not_known_is_not_found() -> None:
    async def test() -> None:
        library = await library_of("demo-vega", "demo-refiner")
        await library.forget("demo-refiner")
        for call in (library.load, library.unload, library.forget):
            with pytest.raises(ModelNotFound):
                await call("demo-refiner")
        with pytest.raises(JobError):
            async with library.held(["demo-refiner"]):
                pass
        assert list(library.infos) == ["demo-vega"]

    run(test)
