"""Who goes first among the jobs of an engine, and which of them work at the same time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.engine.engine import Engine
from safelight_server.events import Progress
from safelight_server.lanes.lane import Lane
from safelight_server.observer import Observer
from support import compiled
from support.engines import VEGA, XL, draw, events_of, load, plan, run


class Spans(Observer):
    """Notes the network of every inference that ended, and from when to when it ran."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, float, float]] = []

    def inference_ended(self, network: str, shape: Sequence[int], seconds: float) -> None:
        now = time.monotonic()
        self.spans.append((network, now - seconds, now))


def test_a_short_job_overtakes_a_long_one_at_the_next_step() -> None:
    async def test() -> None:
        observer = Spans()
        lane = Lane("CPU", observer)
        models: Mapping[str, Pipeline] = {name: load(name, lane) for name in ("demo-xl", "demo-vega")}
        engine = Engine(models, slots=4, queue=0)
        await draw(engine, XL)  # so that the lane knows how long steps take
        await draw(engine, VEGA)
        observer.spans.clear()
        long = events_of(engine, plan(replace(XL, seeds=(9,), steps=30)))
        async for event in long:
            if isinstance(event, Progress):
                break
        rest = asyncio.create_task(anext(long))
        await draw(engine, replace(VEGA, seeds=(9,)))
        order = [network for network, _, _ in observer.spans]
        assert order.count("demo-xl/unet") <= 4, "of thirty: those before it came, and the one that ran"
        first, last = order.index("demo-vega/unet"), len(order) - order[::-1].index("demo-vega/unet")
        assert order[first:last] == ["demo-vega/unet"] * VEGA.steps
        await rest
        await long.aclose()

    run(test)


def test_two_lanes_of_one_thread_each_work_at_the_same_time() -> None:
    observer = Spans()

    async def test() -> None:
        device = compiled.device(None, threads=1)
        models = {name: load(name, Lane("CPU", observer), device) for name in ("demo-xl", "demo-vega")}
        engine = Engine(models, slots=4, queue=0)
        jobs = [XL, VEGA, replace(XL, seeds=(8,)), replace(VEGA, seeds=(8,), steps=8)]
        await asyncio.gather(*(draw(engine, replace(job, id=str(place))) for place, job in enumerate(jobs)))

    run(test)
    spans = [(network.partition("/")[0], began, ended) for network, began, ended in observer.spans]
    overlaps = {
        frozenset((a[0], b[0]))
        for place, a in enumerate(spans)
        for b in spans[place + 1 :]
        if a[1] < b[2] and b[1] < a[2]
    }
    assert overlaps == {frozenset(("demo-xl", "demo-vega"))}, "on one lane, one at a time"
