"""The front desk: nothing before the models are loaded, no work on what is not let in, and the events of what is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from safelight_server.desk import Desk
from safelight_server.diffusion.model_info import ModelInfo
from safelight_server.engine.engine import Engine
from safelight_server.engine.job_book import JobBook
from safelight_server.engine.job_record import Ask
from safelight_server.errors import QueueFull, StillLoading
from safelight_server.events import Done, Image
from safelight_server.jobs import Terms
from support.engines import STORE, VEGA, load, plan, run


def test_until_the_models_are_loaded_everything_is_refused() -> None:
    async def test() -> None:
        desk = Desk()
        with pytest.raises(StillLoading):
            desk.infos()
        with pytest.raises(StillLoading):
            await desk.check(lambda infos: None)
        with pytest.raises(StillLoading):
            await anext(desk.attach("a job"))

    run(test)


def test_who_asks_for_a_job_waits_until_it_is_known_which_models_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("safelight_server.desk.MOST_EARLY", 1)

    async def test() -> None:
        desk = Desk()
        early = asyncio.create_task(desk.take(Ask(), lambda infos: plan(VEGA)))
        await asyncio.sleep(0.01)
        assert not early.done()
        for terms in (Terms(), Terms(wait_for_model=False)):  # one too many, and one who does not wait
            with pytest.raises(StillLoading):
                await desk.take(Ask(terms), lambda infos: plan(VEGA))
        desk.book = JobBook(Engine({"demo-vega": load("demo-vega")}, slots=1, queue=0), STORE)
        assert desk.jobs.live[await early]

    run(test)


def test_a_request_is_checked_only_while_there_is_room_and_then_drawn() -> None:
    checked: list[Mapping[str, ModelInfo]] = []

    async def test() -> None:
        desk = Desk()
        desk.book = JobBook(Engine({"demo-vega": load("demo-vega")}, slots=1, queue=0), STORE)
        await desk.check(checked.append)
        events = desk.attach(await desk.take(Ask(), lambda infos: plan(VEGA)))
        kinds = [type((await anext(events)).item)]
        with pytest.raises(QueueFull):
            await desk.check(checked.append)
        kinds += [type(event) async for _, event in events]
        assert kinds[-2:] == [Image, Done]
        await desk.check(checked.append)

    run(test)
    assert [list(infos) for infos in checked] == [["demo-vega"]] * 2
