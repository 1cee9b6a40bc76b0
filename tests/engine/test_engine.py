"""What an engine does when a network fails under it: the job is lost, the server is not, and no picture is wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.engine.engine import Engine
from safelight_server.errors import InferenceFailed, ModelRecovering
from safelight_server.jobs import Image, Job, Prompts, Scheduler
from safelight_server.lanes.lane import Lane
from safelight_server.model_folder import model_config
from safelight_server.models import loader, warmup
from safelight_server.models.loader import Device

JOB = Job(
    id="job",
    model="m",
    prompts=Prompts("a red apple", "a red apple"),
    size=(64, 64),
    steps=3,
    guidance=5.0,
    rescale=0.0,
    seeds=(7,),
    scheduler=Scheduler("euler"),
)


class Failing:
    """An infer request that OpenVINO refuses to run."""

    def start_async(self, inputs: Any, share_inputs: bool) -> None:
        raise RuntimeError("out of memory at /some/secret/path")


async def picture(engine: Engine) -> bytes:
    events = [event async for event in engine.run(JOB)]
    (image,) = (event for event in events if isinstance(event, Image))
    return image.data


async def loaded(folder: str) -> Pipeline:
    model = loader.load(
        "m", model_config.read(Path(folder)), Lane("CPU"), Device(precision="f32"), lambda told: None, max_edge=512
    )
    await warmup.warm(model, lambda told: None)
    return model


def test_a_failed_network_is_compiled_anew_and_the_next_picture_is_right(folders: dict[str, str]) -> None:
    async def run() -> None:
        model = await loaded(folders["base"])
        health: asyncio.Queue[bool] = asyncio.Queue()
        engine = Engine({"m": model}, slots=1, queue=1, on_health=lambda: health.put_nowait(engine.ready))
        right = await picture(engine)
        model.networks.unet._request = Failing()
        with pytest.raises(InferenceFailed) as caught:
            await picture(engine)
        assert "secret" not in str(caught.value)
        assert health.get_nowait() is False, "not ready while it is compiled anew"
        with pytest.raises(ModelRecovering):
            await picture(engine)
        assert await asyncio.wait_for(health.get(), 60) is True
        assert await picture(engine) == right

    asyncio.run(run())


def test_not_a_number_is_a_failure_and_no_black_picture(folders: dict[str, str]) -> None:
    async def run() -> None:
        model = await loaded(folders["base"])
        engine = Engine({"m": model}, slots=1, queue=1)
        right = await picture(engine)
        run_unet = model.lane.run

        async def poisoned(network: Any, inputs: Any, *rank: Any) -> Any:
            outputs = await run_unet(network, inputs, *rank)
            if network is model.networks.unet:
                outputs["out_sample"][0, 0, 0, 0] = np.nan
            return outputs

        model.lane.run = poisoned  # type: ignore[assignment, method-assign]
        with pytest.raises(InferenceFailed):
            await picture(engine)
        model.lane.run = run_unet  # type: ignore[method-assign]
        assert await picture(engine) == right

    asyncio.run(run())


def test_closing_the_events_stops_the_work(folders: dict[str, str]) -> None:
    async def run() -> None:
        model = await loaded(folders["base"])
        engine = Engine({"m": model}, slots=1, queue=0)
        right = await picture(engine)
        events = engine.run(JOB)
        await anext(events)
        await events.aclose()
        assert not engine._runs
        assert await picture(engine) == right

    asyncio.run(run())
