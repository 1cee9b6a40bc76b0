"""Work that is joined or left out: steps of several jobs in one batch, fewer and smaller inferences."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.engine.engine import Engine
from safelight_server.events import Preview, Progress
from safelight_server.jobs import EXACT, Acceleration, Job, Previews, Prompts
from support import compiled
from support.engines import VEGA, XL, Inferences, draw, events_of, load, plan, run
from support.networks import allow_all_batches, batches_change_bits


@pytest.mark.parametrize("precision", [None, "f32"])
@pytest.mark.parametrize("job", [VEGA, XL], ids=["vega", "xl"])
def test_joined_pictures_are_those_drawn_alone(job: Job, precision: str | None) -> None:
    async def test() -> None:
        inferences = Inferences()
        model = load(job.model, device=compiled.device(precision), observer=inferences)
        if await batches_change_bits(model):
            pytest.skip("this processor rounds batches otherwise, so a server joins none here")
        allow_all_batches(model)
        engine = Engine({job.model: model}, slots=16, queue=0)
        # Other seeds, other numbers of steps: rows of one batch are at different timesteps.
        jobs = [replace(job, id=f"{seed}", seeds=(seed,), steps=job.steps + seed % 2) for seed in range(5)]
        alone = [await draw(engine, one) for one in jobs]
        assert len({data for files in alone for data in files}) == len(jobs)
        inferences.ended.clear()
        together = await asyncio.gather(*(draw(engine, one) for one in jobs))
        assert together == alone
        assert max(rows for part, rows in inferences.ended if part == "unet") >= 4, "they were joined"

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
    acceleration: Acceleration,
    expected: dict[tuple[str, int], int],
    models: Mapping[str, Pipeline],
    inferences: Inferences,
) -> None:
    async def test() -> None:
        await draw(Engine(models, slots=1, queue=0), replace(XL, acceleration=acceleration))
        ended = inferences.ended
        assert {key: ended.count(key) for key in ended if key[0].startswith("unet")} == expected
        assert (("vae_decoder", 1) in ended) is not acceleration.tiny
        assert (("vae_tiny_decoder", 1) in ended) is acceleration.tiny

    run(test)


def test_a_refreshing_step_gives_the_exact_answer(models: Mapping[str, Pipeline]) -> None:
    """DeepCache at every step refreshed, and guidance to the end, are no acceleration at all."""

    async def test() -> None:
        engine = Engine(models, slots=1, queue=0)
        exact = await draw(engine, XL)
        assert await draw(engine, replace(XL, acceleration=Acceleration(deep_cache=1, guided=1.0))) == exact
        unguided = await draw(engine, replace(XL, guidance=1.0))
        assert await draw(engine, replace(XL, acceleration=Acceleration(guided=0.0))) == unguided

    run(test)


def test_the_prompt_that_was_asked_for_longest_ago_is_forgotten_first(
    models: Mapping[str, Pipeline], inferences: Inferences, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        monkeypatch.setattr("safelight_server.diffusion.text_encoder.CHUNKS_KEPT", 2)
        conditioner = models["demo-vega"].conditioner

        async def reads(prompt: str) -> int:
            before = len(inferences.ended)
            await conditioner.encode(replace(VEGA, prompts=Prompts(prompt, prompt)), refines=False)
            return len(inferences.ended) - before

        assert [await reads(prompt) for prompt in ("a", "b", "a", "c", "a", "b")] == [2, 2, 0, 2, 0, 2]

    run(test)


def test_the_tiny_decoder_sees_a_preview_at_its_size(models: Mapping[str, Pipeline]) -> None:
    async def test() -> None:
        model = models["demo-xl"]
        shown = np.zeros((1, 4, 16, 16), np.float32)
        assert (await model.preview(shown, tiny=True)).shape == (128, 128, 3)
        assert (await model.preview(shown, tiny=True, max_edge=64)).shape == (64, 64, 3)
        assert (await model.preview(shown, tiny=True, max_edge=72)).shape == (128, 128, 3)

    run(test)


@pytest.mark.parametrize("tiny", [True, False])
def test_a_preview_is_painted_before_the_next_step(
    tiny: bool, models: Mapping[str, Pipeline], inferences: Inferences, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("safelight_server.lanes.lane.HOLD", 5.0)  # a busy machine takes longer than a moment

    async def test() -> None:
        engine = Engine(models, slots=1, queue=0)
        await draw(engine, XL)
        inferences.ended.clear()
        kinds = [type(event) async for event in events_of(engine, plan(XL), Previews(tiny=tiny))]
        assert kinds.count(Progress) == XL.steps
        assert kinds.count(Preview) == XL.steps - 1, "the picture follows the last step at once"
        parts = [part for part in inferences.parts() if not part.startswith("text")]
        assert parts == [*(["unet", "vae_tiny_decoder"] if tiny else ["unet"]) * (XL.steps - 1), "unet", "vae_decoder"]

    run(test)
