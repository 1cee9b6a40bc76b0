"""An engine: what it does when a network fails under it, whom it lets in, and what its jobs go through."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.engine.engine import Engine
from safelight_server.errors import InferenceFailed, ModelRecovering, QueueFull, ShuttingDown
from safelight_server.events import Progress
from safelight_server.jobs import JobState
from safelight_server.lanes.network import Tensor
from safelight_server.observer import Observer
from support.engines import VEGA, draw, events_of, load, plan, run
from support.networks import Breakable


def breakable() -> tuple[Pipeline, Breakable]:
    model = load("demo-vega")
    unet = Breakable(model.networks.unet)
    model.networks = model.networks._replace(unet=unet)
    return model, unet


def test_a_failed_network_is_compiled_anew_and_the_job_goes_on() -> None:
    async def test() -> None:
        model, unet = breakable()
        health: asyncio.Queue[bool] = asyncio.Queue()
        engine = Engine({"demo-vega": model}, slots=1, queue=1, on_health=lambda: health.put_nowait(engine.ready))
        right = await draw(engine, VEGA)
        unet.fails, unet.loading = True, threading.Event()
        job = asyncio.create_task(draw(engine, VEGA))
        assert await asyncio.wait_for(health.get(), 60) is False, "not ready while it is compiled anew"
        with pytest.raises(ModelRecovering):
            await draw(engine, replace(VEGA, id="other", seeds=(8,)))
        unet.fails = False
        unet.loading.set()
        assert await job == right, "it waited, and its step was run again"
        assert await asyncio.wait_for(health.get(), 60) is True
        assert await draw(engine, VEGA) == right

    run(test)


def test_not_a_number_is_a_failure_and_no_black_picture() -> None:
    class Poisoned(Breakable):
        async def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
            outputs = await super().__call__(inputs)
            next(iter(outputs.values()))[0, 0, 0, 0] = np.nan
            return outputs

    async def test() -> None:
        model = load("demo-vega")
        engine = Engine({"demo-vega": model}, slots=1, queue=1)
        right, networks = await draw(engine, VEGA), model.networks
        model.networks = networks._replace(unet=Poisoned(networks.unet))
        with pytest.raises(InferenceFailed):
            await draw(engine, VEGA)
        model.networks = networks
        assert await draw(engine, VEGA) == right

    run(test)


class States(Observer):
    """Notes what jobs go through, and how many slots are taken and waited for."""

    def __init__(self) -> None:
        self.states: list[tuple[str, JobState]] = []
        self.slots: list[tuple[int, int]] = []

    def job_moved(self, job_id: str, model: str, state: JobState) -> None:
        assert model == VEGA.model
        self.states.append((job_id, state))

    def slots_changed(self, taken: int, waiting: int) -> None:
        self.slots.append((taken, waiting))


def test_a_job_is_queued_runs_and_succeeds(models: Mapping[str, Pipeline]) -> None:
    async def test() -> None:
        observer = States()
        engine = Engine(models, slots=1, queue=1, observer=observer)
        await asyncio.gather(draw(engine, VEGA), draw(engine, replace(VEGA, id="second", seeds=(8,))))
        for job_id in ("vega", "second"):
            states = [state for other, state in observer.states if other == job_id]
            assert states == [JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED]
        assert observer.slots == [(1, 0), (1, 1), (1, 0), (0, 0)]
        assert not len(engine.drawings)

    run(test)


def test_a_job_that_fails_or_that_everybody_left_ends_in_its_own_state() -> None:
    async def test() -> None:
        observer = States()
        model, unet = breakable()
        engine = Engine({"demo-vega": model}, slots=1, queue=0, observer=observer)
        events = events_of(engine, plan(VEGA))
        async for event in events:
            if isinstance(event, Progress):
                record = engine.drawings.get(VEGA.id)
                assert record
                assert record.state is JobState.RUNNING
                break
        await events.aclose()
        assert observer.states[-1] == ("vega", JobState.CANCELLED)
        unet.fails = True
        with pytest.raises(InferenceFailed):
            await draw(engine, VEGA)
        assert observer.states[-1] == ("vega", JobState.FAILED)

    run(test)


def test_closing_the_events_stops_the_work(models: Mapping[str, Pipeline]) -> None:
    async def test() -> None:
        engine = Engine(models, slots=1, queue=0)
        right = await draw(engine, VEGA)
        events = events_of(engine, plan(VEGA))
        await anext(events)
        await events.aclose()
        assert not len(engine.drawings)
        assert await draw(engine, VEGA) == right

    run(test)


def test_no_more_jobs_come_in_than_there_is_room(models: Mapping[str, Pipeline]) -> None:
    async def test() -> None:
        engine = Engine(models, slots=1, queue=1)
        jobs = [events_of(engine, plan(replace(VEGA, id=str(seed), seeds=(seed,)))) for seed in range(3)]
        for job in jobs[:2]:
            await anext(job)
        with pytest.raises(QueueFull):
            await anext(jobs[2])
        with pytest.raises(QueueFull):
            engine.check_room()
        for job in jobs:
            await job.aclose()
        engine.check_room()

    run(test)


def test_draining_stops_what_outlasts_the_grace_and_lets_nobody_in(models: Mapping[str, Pipeline]) -> None:
    async def test() -> None:
        engine = Engine(models, slots=1, queue=1)
        running: Any = events_of(engine, plan(replace(VEGA, id="running", seeds=tuple(range(16)))))
        await anext(running)
        waiting: Any = events_of(engine, plan(VEGA))
        await anext(waiting)
        await engine.drain(0.0)
        for events in (running, waiting):
            with pytest.raises(ShuttingDown):
                async for _ in events:
                    pass
        with pytest.raises(ShuttingDown):
            await draw(engine, VEGA)
        assert engine.health() == {"demo-xl": False, "demo-vega": False}

    run(test)
