"""How much work is left, in seconds, and what comes of it: who overtakes whom, and two lanes at work at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from safelight.v1 import images_pb2 as pb
from safelight.v1.images_pb2_grpc import ImageServiceStub
from safelight_server import demo
from safelight_server.diffusion import plan
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.engine.engine import Engine
from safelight_server.engine.remaining_work import RemainingWork
from safelight_server.jobs import Acceleration, Event, Handoff, Job, Previews, Priority, Progress, Prompts, Scheduler
from safelight_server.lanes.lane import Lane
from safelight_server.lanes.network import Network
from safelight_server.lanes.step_times import KEPT, StepTimes
from safelight_server.lanes.ticket import Ticket
from safelight_server.model_folder import model_config
from safelight_server.models import loader
from safelight_server.models.loader import Device
from safelight_server.rpc.service import ImageService

DEMO = Path(demo.__file__).parent
XL = Job(
    id="xl",
    model="demo-xl",
    prompts=Prompts("an owl", "an owl"),
    size=(128, 128),
    steps=10,
    guidance=3.0,
    rescale=0.0,
    seeds=(7,),
    scheduler=Scheduler("euler"),
)
VEGA = replace(XL, id="vega", model="demo-vega", steps=4, guidance=1.0, scheduler=Scheduler("lcm"))


def load(name: str, lane: Lane, device: Device) -> Pipeline:
    return loader.load(name, model_config.read(DEMO / name), lane, device, lambda told: None, max_edge=512)


@pytest.fixture(scope="module")
def served() -> dict[str, Pipeline]:
    """demo-xl and its refiner, with made-up step times."""
    lane = Lane("CPU")
    loaded = {name: load(name, lane, Device()) for name in ("demo-xl", "demo-refiner")}
    for network, shape, seconds in (
        ("demo-xl/unet", (2, 4, 16, 16), 2.0),
        ("demo-xl/unet", (1, 4, 16, 16), 1.0),
        ("demo-xl/unet_shallow", (2, 4, 16, 16), 0.25),
        ("demo-xl/vae_decoder", (1, 4, 16, 16), 5.0),
        ("demo-xl/vae_tiny_decoder", (1, 4, 16, 16), 0.5),
        ("demo-refiner/unet", (2, 4, 16, 16), 1.5),
        ("demo-refiner/vae_decoder", (1, 4, 16, 16), 5.0),
    ):
        lane.step_times.observe(network, shape, seconds)
    return loaded


@pytest.mark.parametrize(
    ("job", "seconds"),
    [
        (XL, 10 * 2 + 5),
        (replace(XL, guidance=1.0), 10 * 1 + 5),
        (replace(XL, seeds=(1, 2, 3)), 3 * (10 * 2 + 5)),
        (replace(XL, acceleration=Acceleration(deep_cache=5)), 2 * 2 + 8 * 0.25 + 5),
        (replace(XL, acceleration=Acceleration(guided=0.5, tiny=True)), 5 * 2 + 5 * 1 + 0.5),
        (replace(XL, handoff=Handoff("demo-refiner", 0.8)), 8 * 2 + 2 * 1.5 + 5),
        (replace(XL, size=(256, 256)), 4 * (10 * 2 + 5)),  # never run: scaled by its pixels
    ],
    ids=str,
)
def test_seconds_of_a_whole_job(job: Job, seconds: float, served: dict[str, Pipeline]) -> None:
    segments = plan.segments(job, {name: model.config for name, model in served.items()})
    assert RemainingWork(job, segments, served).left(0, 0) == pytest.approx(seconds)


def test_seconds_on_the_way(served: dict[str, Pipeline]) -> None:
    job = replace(XL, seeds=(1, 2))
    outlook = RemainingWork(job, plan.segments(job, {"demo-xl": served["demo-xl"].config}), served)
    assert [outlook.left(0, 0), outlook.left(0, 4), outlook.left(0, 10), outlook.left(1, 0), outlook.left(1, 10)] == [
        50,
        42,
        30,
        25,
        5,
    ]


def test_estimates_are_medians_of_the_last_runs() -> None:
    step_times = StepTimes()
    assert step_times.seconds("unet", (1, 4, 8, 8)) == 0
    for seconds in (9.0, *[1.0] * (KEPT - 1)):  # the first one prepares the graph
        step_times.observe("unet", (1, 4, 8, 8), seconds)
    assert step_times.seconds("unet", (1, 4, 8, 8)) == 1
    for _ in range(KEPT):
        step_times.observe("unet", (1, 4, 8, 8), 3.0)
    assert step_times.seconds("unet", (1, 4, 8, 8)) == 3
    assert step_times.seconds("unet", (2, 4, 8, 8)) == 6
    step_times.observe("unet", (1, 4, 64, 64), 64.0)
    assert step_times.seconds("unet", (1, 4, 32, 32)) == 16, "from the nearest, not the first"


def test_a_claim_tells_the_policy_what_it_has_waited_and_how_much_slack_it_has() -> None:
    ticket = Ticket(Priority.BATCH, deadline=100.0, remaining=5.0)
    ticket._came, ticket.served = 40.0, 7.0
    ready = ticket.ready(now=60.0)
    assert (ready.priority, ready.remaining, ready.waited, ready.slack) == (Priority.BATCH, 5.0, 13.0, 35.0)
    assert ticket.ready(now=41.0).waited == 0, "it has run all the time"
    assert Ticket().ready(0.0).slack is None
    assert Ticket().ready(0.0).order < Ticket().ready(0.0).order


def test_a_short_job_overtakes_a_long_one_at_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    call = Network.__call__

    async def noted(network: Network, inputs: Any) -> Any:
        order.append(network.name)
        return await call(network, inputs)

    async def test() -> None:
        lane = Lane("CPU")
        engine = Engine({name: load(name, lane, Device()) for name in ("demo-xl", "demo-vega")}, slots=4, queue=0)
        await _drawn(engine, XL)  # so that the lane knows how long steps take
        await _drawn(engine, VEGA)
        monkeypatch.setattr(Network, "__call__", noted)
        long = engine.run(replace(XL, seeds=(9,), steps=30), deadline=time.monotonic() + 3600)
        async for event in long:
            if isinstance(event, Progress):
                break
        (run,) = engine._runs.values()
        assert run.subscribers._ticket.deadline is not None
        assert run.subscribers._ticket.remaining > 0
        rest = asyncio.create_task(_rest(long))
        await _drawn(engine, replace(VEGA, seeds=(9,)))
        assert order.count("demo-xl/unet") <= 4, "of thirty: those before it came, and the one that ran"
        first, last = (order.index("demo-vega/unet"), len(order) - order[::-1].index("demo-vega/unet"))
        assert order[first:last] == ["demo-vega/unet"] * VEGA.steps
        await rest

    asyncio.run(asyncio.wait_for(test(), 120))


async def _drawn(engine: Engine, job: Job) -> None:
    await _rest(engine.run(job))


async def _rest(events: AsyncGenerator[Event, None]) -> None:
    async for _ in events:
        pass


def test_two_lanes_of_one_thread_each_work_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    spans: list[tuple[str, float, float]] = []
    call = Network.__call__

    async def noted(network: Network, inputs: Any) -> Any:
        began = time.monotonic()
        outputs = await call(network, inputs)
        spans.append((network.name.partition("/")[0], began, time.monotonic()))
        return outputs

    async def test() -> None:
        loaded = {name: load(name, Lane("CPU"), Device(threads=1)) for name in ("demo-xl", "demo-vega")}
        engine = Engine(loaded, slots=4, queue=0)
        monkeypatch.setattr(Network, "__call__", noted)
        jobs = [XL, replace(XL, seeds=(8,)), VEGA, replace(VEGA, seeds=(8,), steps=8)]
        await asyncio.gather(*(_drawn(engine, job) for job in jobs))

    asyncio.run(asyncio.wait_for(test(), 120))
    overlaps = {
        (a[0], b[0]) for place, a in enumerate(spans) for b in spans[place + 1 :] if a[1] < b[2] and b[1] < a[2]
    }
    assert ("demo-xl", "demo-vega") in overlaps or ("demo-vega", "demo-xl") in overlaps
    assert not {("demo-xl", "demo-xl"), ("demo-vega", "demo-vega")} & overlaps, "on one lane, one at a time"


def test_a_call_brings_its_priority_and_its_deadline() -> None:
    came: list[tuple[Priority, float | None]] = []

    class Noting(Engine):
        async def run(
            self, job: Job, previews: Previews | None = None, deadline: float | None = None
        ) -> AsyncGenerator[Event, None]:
            came.append((job.priority, deadline))
            async for event in super().run(job, previews, deadline):
                yield event

    async def test() -> None:
        service, server = ImageService(), grpc.aio.server()
        service.engine = Noting({"demo-vega": load("demo-vega", Lane("CPU"), Device())}, slots=1, queue=0)
        server.add_generic_rpc_handlers((service.handlers(),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            generate: Any = ImageServiceStub(channel).Generate
            await generate(pb.GenerateRequest(prompt="an owl", priority=pb.PRIORITY_INTERACTIVE), timeout=100)
            await generate(pb.GenerateRequest(prompt="an owl", priority=pb.PRIORITY_BATCH))
        await server.stop(None)

    began = time.monotonic()
    asyncio.run(asyncio.wait_for(test(), 60))
    (hurried, until), second = came
    assert hurried is Priority.INTERACTIVE
    assert until is not None
    assert began < until <= time.monotonic() + 100
    assert until > began + 90
    assert second == (Priority.BATCH, None)
