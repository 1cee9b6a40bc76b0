"""Identical jobs are drawn once: who hears what, what one who leaves takes away, and what makes two jobs the same."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.engine.drawings import digest
from safelight_server.engine.engine import Engine
from safelight_server.engine.subscribers import Subscribers
from safelight_server.events import Image, Progress
from safelight_server.jobs import Acceleration, Job, Output, Previews, Priority, Prompts, Source
from support.engines import XL, Inferences, draw, events_of, plan, run


def test_identical_jobs_are_drawn_once_and_told_to_all(models: Mapping[str, Pipeline], inferences: Inferences) -> None:
    async def test() -> None:
        engine = Engine(models, slots=2, queue=0)
        alone = await draw(engine, XL)
        inferences.ended.clear()
        calls = [replace(XL, id=name) for name in "abc"]
        assert await asyncio.gather(*(draw(engine, call) for call in calls)) == [alone] * 3
        assert inferences.parts().count("unet") == XL.steps
        assert not len(engine.drawings)

    run(test)


def test_a_job_has_the_highest_priority_and_the_first_deadline_of_those_who_wait() -> None:
    subscribers = Subscribers(Priority.NORMAL)
    batch = subscribers.join(None, Priority.BATCH, 50.0)
    assert (subscribers.priority, subscribers.deadline) == (Priority.BATCH, 50.0)
    hurried = subscribers.join(None, Priority.INTERACTIVE, 40.0)
    subscribers.join(None, Priority.NORMAL, None)
    assert (subscribers.priority, subscribers.deadline) == (Priority.INTERACTIVE, 40.0)
    subscribers.leave(hurried)
    assert (subscribers.priority, subscribers.deadline) == (Priority.NORMAL, 50.0)
    subscribers.leave(batch)
    assert subscribers.deadline is None
    assert len(subscribers) == 1


def test_only_what_makes_another_picture_makes_another_job() -> None:
    source = Source(np.zeros((128, 128, 3), np.uint8), np.zeros((128, 128), np.uint8), 0.5)
    redrawn = replace(XL, source=source)
    changes: list[Job] = [
        replace(XL, seeds=(8,)),
        replace(XL, prompts=Prompts("an owl", "an owl")),
        replace(XL, prompts=replace(XL.prompts, weighted=True)),
        replace(XL, acceleration=Acceleration(tiny=True)),
        replace(XL, output=Output("jpeg")),
        redrawn,
        replace(redrawn, source=replace(source, strength=0.6)),
        replace(redrawn, source=replace(source, mask=None)),
        replace(redrawn, source=replace(source, picture=source.picture + np.uint8(1))),
        replace(redrawn, source=replace(source, mask=np.ones((128, 128), np.uint8))),
    ]
    assert len({digest(job) for job in (XL, *changes)}) == len(changes) + 1
    assert digest(replace(XL, id="other", priority=Priority.BATCH)) == digest(XL)


def test_one_who_comes_later_hears_all_and_one_who_leaves_stops_nothing(
    models: Mapping[str, Pipeline], inferences: Inferences
) -> None:
    async def test() -> None:
        engine = Engine(models, slots=1, queue=0)
        two = replace(XL, seeds=(7, 8))
        pictures = await draw(engine, two)
        inferences.ended.clear()
        first = events_of(engine, plan(two), Previews())
        async for event in first:
            if isinstance(event, Image):
                break
        later = asyncio.create_task(draw(engine, replace(two, id="later")))
        record = engine.drawings.get(two.id)
        assert record
        while len(record.subscribers) < 2:  # noqa: ASYNC110 - it joins while the second picture is drawn
            await asyncio.sleep(0)
        await first.aclose()
        assert await later == pictures, "the first picture, too, which was finished before it came"
        assert inferences.parts().count("unet") == 2 * XL.steps

    run(test)


def test_nobody_joins_a_job_that_has_just_ended(models: Mapping[str, Pipeline]) -> None:
    """Its task ends a moment before its first reader is gone; who came in between would wait for ever."""

    async def test() -> None:
        engine = Engine(models, slots=1, queue=1)
        events = events_of(engine, plan(XL))
        await anext(events)
        record = engine.drawings.get(XL.id)
        assert record
        while not record.state.final:  # noqa: ASYNC110 - the very moment is meant
            await asyncio.sleep(0)
        assert await asyncio.wait_for(draw(engine, XL), 20)
        await events.aclose()

    run(test)


def test_when_the_last_one_leaves_the_drawing_stops(models: Mapping[str, Pipeline], inferences: Inferences) -> None:
    async def test() -> None:
        engine = Engine(models, slots=1, queue=0)
        readers = [events_of(engine, plan(replace(XL, id=name))) for name in "ab"]
        for reader in readers:
            async for event in reader:
                if isinstance(event, Progress):
                    break
        for reader in readers:
            await reader.aclose()
        assert not len(engine.drawings)
        done = inferences.parts().count("unet")
        await asyncio.sleep(0.1)
        assert inferences.parts().count("unet") == done < XL.steps
        assert await draw(engine, XL)

    run(test)
