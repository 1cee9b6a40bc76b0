"""Work that jobs share or that is left out: steps in one batch, one drawing for many, fewer and smaller inferences."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safelight_server import demo
from safelight_server.diffusion.pipeline import Pipeline, halved
from safelight_server.engine.engine import Engine
from safelight_server.engine.subscribers import Subscribers, content
from safelight_server.jobs import (
    EXACT,
    Acceleration,
    Image,
    Job,
    Output,
    Preview,
    Previews,
    Priority,
    Progress,
    Prompts,
    Scheduler,
    Source,
)
from safelight_server.lanes.batching import kind
from safelight_server.lanes.lane import Lane
from safelight_server.lanes.network import Network
from safelight_server.lanes.ticket import Ticket
from safelight_server.model_folder import model_config
from safelight_server.models import batch_profile, loader, warmup
from safelight_server.models.loader import Device

DEMO = Path(demo.__file__).parent
WORDS = Prompts("a red apple on a teal background", "a red apple on a teal background")
VEGA = Job(
    id="job",
    model="demo-vega",
    prompts=WORDS,
    size=(128, 128),
    steps=4,
    guidance=1.0,
    rescale=0.0,
    seeds=(7,),
    scheduler=Scheduler("lcm"),
)
XL = Job(
    id="job",
    model="demo-xl",
    prompts=WORDS,
    size=(128, 128),
    steps=6,
    guidance=3.0,
    rescale=0.0,
    seeds=(7,),
    scheduler=Scheduler("euler"),
)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """(part, rows) of every inference, from when it is emptied on."""
    seen: list[tuple[str, int]] = []
    call = Network.__call__

    async def noted(network: Network, inputs: Any) -> Any:
        seen.append((network.name.partition("/")[2], len(next(iter(inputs.values())))))
        return await call(network, inputs)

    monkeypatch.setattr(Network, "__call__", noted)
    return seen


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 120))


async def loaded(name: str, precision: str | None = "f32") -> Pipeline:
    device = Device(precision=precision)
    return loader.load(name, model_config.read(DEMO / name), Lane("CPU"), device, lambda told: None, max_edge=512)


def joins_all(model: Pipeline) -> None:
    """As on a machine where every batch of the UNet pays."""
    row = batch_profile._row(model.networks.unet, 16, 0)
    model.lane.batching.allow(kind(model.networks.unet, row), (2, 4, 8))


async def drawn(engine: Engine, job: Job) -> bytes:
    async with aclosing(engine.run(job)) as events:
        (data,) = [event.data async for event in events if isinstance(event, Image)]
    return data


@pytest.mark.parametrize("precision", [None, "f32"])
@pytest.mark.parametrize("job", [VEGA, XL], ids=["vega", "xl"])
def test_joined_pictures_are_those_drawn_alone(job: Job, precision: str | None, ran: list[tuple[str, int]]) -> None:
    async def test() -> None:
        model = await loaded(job.model, precision)
        joins_all(model)
        engine = Engine({job.model: model}, slots=16, queue=0)
        # Other words, other seeds, other numbers of steps: rows of one batch are at different timesteps.
        jobs = [replace(job, seeds=(seed,), steps=job.steps + seed % 2) for seed in range(5)]
        alone = [await drawn(engine, one) for one in jobs]
        assert len(set(alone)) == len(jobs)
        ran.clear()
        together = await asyncio.gather(*(drawn(engine, one) for one in jobs))
        assert together == alone
        rows = [rows for part, rows in ran if part == "unet"]
        assert max(rows) >= 4, "they were joined"

    run(test)


def test_identical_jobs_are_drawn_once_and_told_to_all(ran: list[tuple[str, int]]) -> None:
    async def test() -> None:
        engine = Engine({"demo-xl": await loaded("demo-xl")}, slots=2, queue=0)
        alone = await drawn(engine, XL)
        ran.clear()
        calls = [replace(XL, id=name) for name in "abc"]
        assert await asyncio.gather(*(drawn(engine, call) for call in calls)) == [alone] * 3
        assert [part for part, _ in ran].count("unet") == XL.steps
        assert not engine._runs

    run(test)


def test_a_drawing_has_the_highest_priority_and_the_first_deadline_of_those_who_wait() -> None:
    ticket = Ticket()
    subscribers = Subscribers(ticket)
    batch = subscribers.join(None, Priority.BATCH, 50.0)
    assert (ticket.priority, ticket.deadline) == (Priority.BATCH, 50.0)
    hurried = subscribers.join(None, Priority.INTERACTIVE, 40.0)
    subscribers.join(None, Priority.NORMAL, None)
    assert (ticket.priority, ticket.deadline) == (Priority.INTERACTIVE, 40.0)
    assert not subscribers.leave(hurried)
    assert (ticket.priority, ticket.deadline) == (Priority.NORMAL, 50.0)
    assert not subscribers.leave(batch)
    assert ticket.deadline is None


def test_only_what_makes_another_picture_makes_another_job() -> None:
    source = Source(np.zeros((128, 128, 3), np.uint8), np.zeros((128, 128), np.uint8), 0.5)
    redrawn = replace(XL, source=source)
    changes: list[Job] = [
        replace(XL, seeds=(8,)),
        replace(XL, prompts=Prompts("an owl", "an owl")),
        replace(XL, acceleration=Acceleration(tiny=True)),
        replace(XL, output=Output("jpeg")),
        redrawn,
        replace(redrawn, source=replace(source, strength=0.6)),
        replace(redrawn, source=replace(source, mask=None)),
        replace(redrawn, source=replace(source, picture=source.picture + np.uint8(1))),
        replace(redrawn, source=replace(source, mask=np.ones((128, 128), np.uint8))),
    ]
    assert len({content(job) for job in (XL, *changes)}) == len(changes) + 1
    assert content(replace(XL, id="other", priority=Priority.BATCH)) == content(XL)


def test_one_who_comes_later_hears_all_and_one_who_leaves_stops_nothing(ran: list[tuple[str, int]]) -> None:
    async def test() -> None:
        engine = Engine({"demo-xl": await loaded("demo-xl")}, slots=1, queue=0)
        two = replace(XL, seeds=(7, 8))
        pictures = [event.data async for event in engine.run(two) if isinstance(event, Image)]
        ran.clear()
        first = engine.run(two, Previews())
        async for event in first:
            if isinstance(event, Image):
                break
        later = asyncio.create_task(_pictures(engine, two))
        (shared,) = engine._runs.values()
        while len(shared.subscribers._readers) < 2:  # noqa: ASYNC110 - it joins while the second picture is drawn
            await asyncio.sleep(0)
        await first.aclose()
        assert await later == pictures, "the first picture, too, which was finished before it came"
        assert [part for part, _ in ran].count("unet") == 2 * XL.steps

    run(test)


def test_nobody_joins_a_drawing_that_has_just_ended() -> None:
    """Its task ends a moment before the engine forgets it; who came in between would wait for ever."""

    async def test() -> None:
        engine = Engine({"demo-xl": await loaded("demo-xl")}, slots=1, queue=1)
        events = engine.run(XL)
        first = asyncio.create_task(anext(events))
        await first
        (run,) = engine._runs.values()
        while not run.subscribers.closed:  # noqa: ASYNC110 - the very moment is meant
            await asyncio.sleep(0)
        assert await asyncio.wait_for(_pictures(engine, XL), 20)
        await events.aclose()

    run(test)


async def _pictures(engine: Engine, job: Job) -> list[bytes]:
    return [event.data async for event in engine.run(job) if isinstance(event, Image)]


def test_when_the_last_one_leaves_the_drawing_stops(ran: list[tuple[str, int]]) -> None:
    async def test() -> None:
        engine = Engine({"demo-xl": await loaded("demo-xl")}, slots=1, queue=0)
        readers = [engine.run(XL), engine.run(XL)]
        ran.clear()
        for reader in readers:
            async for event in reader:
                if isinstance(event, Progress):
                    break
        for reader in readers:
            await reader.aclose()
        assert not engine._runs
        done = len(ran)
        await asyncio.sleep(0.1)
        assert len(ran) == done < XL.steps
        assert await drawn(engine, XL)

    run(test)


FEWER: list[tuple[Acceleration, dict[tuple[str, int], int]]] = [
    (EXACT, {("unet", 2): 6}),
    (Acceleration(deep_cache=3), {("unet", 2): 2, ("unet_shallow", 2): 4}),
    (Acceleration(guided=0.5), {("unet", 2): 3, ("unet", 1): 3}),
    (Acceleration(guided=0.0), {("unet", 1): 6}),
    (
        Acceleration(deep_cache=2, guided=0.5, tiny=True),
        {("unet", 2): 2, ("unet_shallow", 2): 1, ("unet_shallow", 1): 2, ("unet", 1): 1},
    ),
]


@pytest.mark.parametrize(("acceleration", "expected"), FEWER, ids=lambda value: repr(value)[:60])
def test_what_is_left_out_is_not_computed(
    acceleration: Acceleration, expected: dict[tuple[str, int], int], ran: list[tuple[str, int]]
) -> None:
    async def test() -> None:
        engine = Engine({"demo-xl": await loaded("demo-xl")}, slots=1, queue=0)
        ran.clear()
        await drawn(engine, replace(XL, acceleration=acceleration))
        counts = {key: ran.count(key) for key in ran if key[0].startswith("unet")}
        assert counts == expected
        assert ("vae_decoder", 1) in ran or acceleration.tiny
        assert ("vae_tiny_decoder", 1) in ran or not acceleration.tiny

    run(test)


def test_a_refreshing_step_gives_the_exact_answer() -> None:
    """DeepCache at every step refreshed, and guidance to the end, are no acceleration at all."""

    async def test() -> None:
        engine = Engine({"demo-xl": await loaded("demo-xl")}, slots=1, queue=0)
        assert await drawn(engine, replace(XL, acceleration=Acceleration(deep_cache=1, guided=1.0))) == await drawn(
            engine, XL
        )
        unguided = await drawn(engine, replace(XL, guidance=1.0))
        assert await drawn(engine, replace(XL, acceleration=Acceleration(guided=0.0))) == unguided

    run(test)


def test_the_prompt_that_was_asked_for_longest_ago_is_forgotten_first(
    ran: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        monkeypatch.setattr("safelight_server.diffusion.conditioning.PROMPTS_KEPT", 2)
        model = await loaded("demo-vega")
        ran.clear()

        async def reads(prompt: str) -> int:
            before = len(ran)
            await model.conditioner.encode(replace(VEGA, prompts=Prompts(prompt, prompt)), refines=False)
            return len(ran) - before

        assert [await reads(prompt) for prompt in ("a", "b", "a", "c", "a", "b")] == [2, 2, 0, 2, 0, 2]

    run(test)


@pytest.mark.parametrize(
    ("edge", "least", "left"),
    [
        ((16, 16), 16, (16, 16)),
        ((16, 16), 8, (8, 8)),
        ((16, 16), 9, (16, 16)),
        ((16, 8), 4, (4, 2)),
        ((12, 6), 2, (6, 3)),
    ],
)
def test_previews_are_decoded_no_larger_than_they_are_shown(
    edge: tuple[int, int], least: int, left: tuple[int, int]
) -> None:
    latents = np.random.default_rng(0).standard_normal((1, 4, *edge), np.float32)
    small = halved(latents, least)
    assert small.shape == (1, 4, *left)
    assert small.mean() == pytest.approx(latents.mean(), abs=1e-6)


def test_the_tiny_decoder_sees_a_preview_at_its_size() -> None:
    async def test() -> None:
        model = await loaded("demo-xl")
        shown = np.zeros((1, 4, 16, 16), np.float32)
        assert (await model.preview(shown, tiny=True)).shape == (128, 128, 3)
        assert (await model.preview(shown, tiny=True, max_edge=64)).shape == (64, 64, 3)
        assert (await model.preview(shown, tiny=True, max_edge=72)).shape == (128, 128, 3)

    run(test)


@pytest.mark.parametrize("tiny", [True, False])
def test_a_preview_is_painted_before_the_next_step(tiny: bool, ran: list[tuple[str, int]]) -> None:
    async def test() -> None:
        engine = Engine({"demo-xl": await loaded("demo-xl")}, slots=1, queue=0)
        await drawn(engine, XL)
        ran.clear()
        kinds = [type(event) async for event in engine.run(XL, Previews(tiny=tiny))]
        assert kinds.count(Preview) == kinds.count(Progress) == XL.steps
        parts = [part for part, _ in ran if not part.startswith("text")]
        assert parts == [*(["unet", "vae_tiny_decoder"] if tiny else ["unet"]) * XL.steps, "vae_decoder"]

    run(test)


def test_what_the_trial_took_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed: list[str] = []
    monkeypatch.setattr(Network, "trim", lambda network: trimmed.append(network.name))

    async def test() -> None:
        model = await loaded("demo-vega")
        await warmup.warm(model, lambda told: None)
        assert trimmed == [network.name for network in model.networks.all()]

    run(test)


def test_the_rows_of_a_trial_are_all_different() -> None:
    async def test() -> None:
        model = await loaded("demo-vega")
        rows = [batch_profile._row(model.networks.unet, 16, seed) for seed in range(batch_profile.MOST)]
        for name in rows[0]:
            assert len({row[name].tobytes() for row in rows}) == batch_profile.MOST, name
        assert all(np.isfinite(value).all() for value in rows[0].values())

    run(test)
