"""Weighted prompts through the engine: in company, stopped in the middle, and next to literal ones."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.engine.engine import Engine
from safelight_server.jobs import Job, Prompts
from safelight_server.lanes.batching import signature
from safelight_server.models.batch_profile import random_row
from support.engines import VEGA, XL, Inferences, draw, run
from support.networks import allow_all_batches
from support.pictures import pixels

SHORT = "a red apple on a teal background"
LONG = "a red apple, with a (green:1.3) leaf, on a teal background, " * 4


def weighted(text: str, job: Job = XL) -> Job:
    return replace(job, prompts=Prompts(text, text, weighted=True))


@pytest.mark.parametrize("job", [XL, VEGA], ids=["guided", "not guided"])
def test_without_weights_the_picture_is_the_literal_one(job: Job, models: Mapping[str, Pipeline]) -> None:
    async def test() -> None:
        engine = Engine(models, slots=1, queue=0)
        assert await draw(engine, weighted(SHORT, job)) == await draw(engine, job)
        longer = await draw(engine, weighted(LONG, job))
        assert longer != await draw(engine, replace(job, prompts=Prompts(LONG, LONG)))
        assert longer != await draw(engine, weighted(LONG.replace(":1.3", ":0.5"), job))

    run(test)


def test_another_weight_costs_the_encoders_nothing(models: Mapping[str, Pipeline], inferences: Inferences) -> None:
    async def test() -> None:
        engine = Engine(models, slots=1, queue=0)
        await draw(engine, weighted("an (owl:1.2)"))
        inferences.ended.clear()
        await draw(engine, weighted("an (owl:0.8)"))
        assert not [part for part in inferences.parts() if part.startswith("text_encoder")]

    run(test)


def test_prompts_of_other_lengths_are_never_joined(models: Mapping[str, Pipeline]) -> None:
    """Though batches of either length were allowed."""

    async def test() -> None:
        model = models["demo-xl"]
        jobs = [weighted(text, replace(XL, id=text, guidance=1.0)) for text in (SHORT, LONG, f"{LONG} at night", LONG)]
        jobs[3] = replace(jobs[3], id="seed", seeds=(9,))
        alone = [await draw(Engine(models, slots=1, queue=0), job) for job in jobs]
        allow_all_batches(model)
        for chunks in (2, 3, 4):
            row = random_row(model.networks.unet, 16, 0, chunks * model.info.limits.max_prompt_tokens)
            model.lane.batching.allow(signature(model.networks.unet, row), (2, 4, 8))
        engine = Engine(models, slots=4, queue=0)
        together = await asyncio.gather(*(draw(engine, job) for job in jobs))
        for (one,), (other,) in zip(together, alone, strict=True):
            worst = abs(pixels(one).astype(int) - pixels(other)).max()
            assert worst <= 1, "where a processor rounds rows of a batch otherwise"

    run(test)


def test_a_job_that_is_stopped_on_the_way_to_another_length_spoils_no_other(models: Mapping[str, Pipeline]) -> None:
    async def test() -> None:
        engine = Engine(models, slots=1, queue=1)
        short, long = await draw(engine, XL), await draw(engine, weighted(LONG))
        for wait in range(0, 30, 3):
            for job in (XL, weighted(LONG)):
                task = asyncio.create_task(draw(engine, replace(job, seeds=(1000 + wait,))))
                await asyncio.sleep(wait / 1000)
                task.cancel()
                await asyncio.wait([task])
                assert not models["demo-xl"].networks.unet.broken
            assert await draw(engine, XL) == short
            assert await draw(engine, weighted(LONG)) == long

    run(test)
