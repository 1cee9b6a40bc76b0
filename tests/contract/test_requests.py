"""A request becomes a plan, in the test's own process: defaults are filled in, and every bad field is named at once."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from safelight.v1 import images_pb2 as pb
from safelight_server.contract import request_fields
from safelight_server.contract.requests import plan_from, previews_of, stream_from
from safelight_server.diffusion.model_info import Limits, ModelInfo
from safelight_server.diffusion.prompt_tokenizer import load_tokenizer
from safelight_server.errors import InvalidRequest, ModelNotFound
from safelight_server.jobs import Acceleration, Handoff, Output, Previews, Priority
from support.engines import CONFIGS
from support.pictures import black

NAN, INF = float("nan"), float("inf")
LIMITS = Limits(min_edge=32, max_edge=2048, edge_multiple=8, max_prompt_tokens=77)
ONE_CHUNK = replace(LIMITS, max_chunks=1)
WORDS = load_tokenizer(CONFIGS["demo-xl"].tokenizer("text_encoder"))  # chunks of 30 tokens
INFOS = {
    name: replace(info, tokenizer=WORDS)
    for name, info in {
        "demo-xl": ModelInfo("demo-xl", CONFIGS["demo-xl"], LIMITS, "f32", "CPU", True, ("demo-vega", "demo-refiner")),
        "demo-vega": ModelInfo("demo-vega", CONFIGS["demo-vega"], LIMITS, "f32", "CPU", False, ("demo-refiner",)),
        "demo-refiner": ModelInfo("demo-refiner", CONFIGS["demo-refiner"], ONE_CHUNK, "f32", "CPU", True),
    }.items()
}
WEIGHTED: dict[str, Any] = {"prompt_syntax": pb.PROMPT_SYNTAX_WEIGHTED}
SMALL: dict[str, Any] = {"prompt": "x", "width": 64, "height": 64, "steps": 1}


def violations(check: Any, request: Any) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as caught:
        check(request, INFOS, "id")
    found = {violation.field: violation.description for violation in caught.value.violations}
    assert len(found) == len(caught.value.violations), "each field is named once"
    return found


GENERATE: list[tuple[dict[str, Any], str, str]] = [
    ({"width": 65}, "width", "must be a multiple of 8 from 32 to 2048, not 65"),
    ({"height": 0}, "height", "must be a multiple of 8 from 32 to 2048, not 0"),
    ({"width": 1_000_000}, "width", "not 1000000"),
    ({"steps": 0}, "steps", "must be from 1 to 150, not 0"),
    ({"steps": 151}, "steps", "not 151"),
    ({"guidance_scale": NAN}, "guidance_scale", "must be from 0 to 100, not nan"),
    ({"guidance_scale": -1.0}, "guidance_scale", "not -1"),
    ({"guidance_rescale": INF}, "guidance_rescale", "must be from 0 to 1, not inf"),
    ({"num_images": 0}, "num_images", "must be from 1 to 16, not 0"),
    ({"num_images": 10_000}, "num_images", "not 10000"),
    ({"scheduler": "heunish"}, "scheduler", "not 'heunish'"),
    ({"scheduler": "lcm", "steps": 120}, "scheduler", "steps must be"),
    ({"scheduler_options": {"timestep_spacing": "wide"}}, "scheduler_options.timestep_spacing", "not 'wide'"),
    ({"scheduler_options": {"eta": 2.0}}, "scheduler_options.eta", "must be from 0 to 1, not 2"),
    ({"prompt": "a" * 9000}, "prompt", "must have at most 8192 characters, not 9000"),
    ({"output": {"quality": 0}}, "output.quality", "must be from 1 to 100, not 0"),
    ({"output": {"format": 77}}, "output.format", "not 77"),
    ({"size_conditioning": {"original": {"width": 5}}}, "size_conditioning.original.height", "not 0"),
    ({"size_conditioning": {"crop": {"x": 99999}}}, "size_conditioning.crop.x", "must be at most 16384, not 99999"),
    ({"size_conditioning": {"aesthetic_score": NAN}}, "size_conditioning.aesthetic_score", "not nan"),
    ({"refiner": {"model": "demo-refiner", "handoff": 1.0}}, "refiner.handoff", "must lie between 0 and 1, not at 1"),
    ({"refiner": {"model": "demo-refiner", "handoff": NAN}}, "refiner.handoff", "not nan"),
    ({"refiner": {"model": "demo-refiner", "handoff": 0.01}}, "refiner.handoff", "leaves one of the models none"),
    ({"refiner": {"model": "demo-xl"}, "steps": 10}, "refiner.model", "must share demo-xl's latent space"),
    ({"priority": 9}, "priority", "not 9"),
    ({"acceleration": {"guidance_until": 1.5}}, "acceleration.guidance_until", "must be from 0 to 1, not 1.5"),
    ({"acceleration": {"guidance_until": NAN}}, "acceleration.guidance_until", "not nan"),
    ({"acceleration": {"deep_cache_interval": 151}}, "acceleration.deep_cache_interval", "must be at most 150"),
    (
        {"acceleration": {"deep_cache_interval": 2}, "model": "demo-vega"},
        "acceleration.deep_cache_interval",
        "must be 0 for demo-vega, which is not cut for it, not 2",
    ),
    ({"model": "demo-refiner"}, "model", "call Refine, or name a base model"),
    ({"prompt_syntax": 7}, "prompt_syntax", "must be one of PROMPT_SYNTAX_UNSPECIFIED, PROMPT_SYNTAX_LITERAL, "),
    (WEIGHTED | {"prompt": "(owl:11)"}, "prompt", "must have weights from -10 to 10, not 11 of 'owl'"),
    (WEIGHTED | {"negative_prompt_2": "(" * 30 + "a"}, "negative_prompt_2", "must have weights from -10 to 10"),
    (WEIGHTED | {"prompt": "a" * 9000}, "prompt", "must have at most 8192 characters, not 9000"),
    (WEIGHTED | {"prompt": "owl " * 241}, "prompt", "must have at most 240 tokens, not 241: demo-xl reads no more"),
    (WEIGHTED | {"prompt_2": "owl BREAK " * 8 + "owl"}, "prompt_2", "must have at most 240 tokens, not 241"),
    (
        WEIGHTED | {"negative_prompt": "owl " * 31, "refiner": {"model": "demo-refiner"}, "steps": 10},
        "negative_prompt",
        "must have at most 30 tokens, not 31: demo-refiner reads no more, even with prompt_syntax weighted",
    ),
]


@pytest.mark.parametrize(("fields", "field", "rule"), GENERATE, ids=lambda value: str(value)[:40])
def test_a_bad_field_is_named_with_its_rule_and_its_value(fields: dict[str, Any], field: str, rule: str) -> None:
    request = pb.GenerateRequest(**{**SMALL, **fields})
    found = violations(plan_from, request)
    assert list(found) == [field]
    assert rule in found[field]
    assert violations(stream_from, pb.StreamRequest(generate=request)) == {f"generate.{field}": found[field]}


def test_all_bad_fields_at_once() -> None:
    request = pb.GenerateRequest(
        prompt="x", width=7, height=9, steps=0, guidance_scale=NAN, scheduler="heunish", num_images=99
    )
    assert set(violations(plan_from, request)) == {
        "width",
        "height",
        "steps",
        "guidance_scale",
        "scheduler",
        "num_images",
    }
    stream = pb.StreamRequest(generate=request, preview=pb.PreviewOptions(quality=0, max_edge=5))
    assert {"generate.width", "preview.quality", "preview.max_edge"} <= set(violations(stream_from, stream))


def test_an_unknown_scheduler_hides_nothing() -> None:
    """What only the plan can tell is told with it."""
    refiner = pb.RefinerStage(model="demo-refiner", handoff=0.001)
    request = pb.GenerateRequest(**{**SMALL, "model": "demo-xl", "scheduler": "no such", "refiner": refiner})
    assert set(violations(plan_from, request)) == {"scheduler", "refiner.handoff"}


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"model": "sd15"}, "model"), ({"refiner": {"model": "none"}}, "refiner.model")],
)
def test_unknown_models_are_not_found(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        plan_from(pb.GenerateRequest(**{**SMALL, **fields}), INFOS, "id")
    (violation,) = caught.value.violations
    assert violation.field == field
    assert "must be one of demo-xl, demo-vega, demo-refiner" in violation.description


PREVIEW: list[tuple[dict[str, Any], str]] = [
    ({"every_steps": 1001}, "preview.every_steps"),
    ({"min_interval": {"seconds": -1}}, "preview.min_interval"),
    ({"max_edge": 8}, "preview.max_edge"),
    ({"quality": 101}, "preview.quality"),
    ({"decoder": 9}, "preview.decoder"),
]


@pytest.mark.parametrize(("fields", "field"), PREVIEW, ids=lambda value: str(value)[:40])
def test_a_bad_preview(fields: dict[str, Any], field: str) -> None:
    request = pb.StreamRequest(generate=pb.GenerateRequest(**SMALL), preview=pb.PreviewOptions(**fields))
    assert list(violations(stream_from, request)) == [field]


def test_a_stream_needs_a_request() -> None:
    assert list(violations(stream_from, pb.StreamRequest())) == ["request"]


def test_defaults_are_the_models_own() -> None:
    plan = plan_from(pb.GenerateRequest(prompt="an owl", seed=7), INFOS, "id")
    job, config = plan.job, CONFIGS["demo-xl"]
    assert (job.id, job.model, job.size, job.seeds) == ("id", "demo-xl", (128, 128), (7,))
    assert (job.steps, job.guidance, job.scheduler.name) == (config.steps, config.guidance, config.scheduler)
    assert (job.prompts.prompt_2, job.prompts.negative, job.prompts.negative_2) == ("an owl", None, None)
    assert (job.output, job.priority, job.handoff, job.source) == (Output(), Priority.NORMAL, None, None)
    assert plan.steps == config.steps


def test_what_is_asked_for_is_what_the_job_says() -> None:
    request = pb.GenerateRequest(
        model="demo-xl",
        prompt="an owl",
        prompt_2="a bird",
        negative_prompt="",
        width=64,
        height=96,
        steps=10,
        guidance_scale=2.5,
        num_images=2,
        seed=2**32 - 1,
        scheduler="dpmpp_2m",
        scheduler_options={"use_karras_sigmas": True, "timestep_spacing": "trailing"},
        size_conditioning={"original": {"width": 700, "height": 500}, "crop": {"x": 3, "y": 5}},
        refiner={"model": "demo-refiner", "handoff": 0.5},
        output={"format": pb.IMAGE_FORMAT_WEBP, "quality": 70},
        priority=pb.PRIORITY_BATCH,
        acceleration={"deep_cache_interval": 3, "guidance_until": 0.5, "tiny_decoder": True},
    )
    plan = plan_from(request, INFOS, "id")
    job = plan.job
    assert (job.size, job.steps, job.guidance, job.seeds) == ((96, 64), 10, 2.5, (2**32 - 1, 0))
    assert (job.prompts.prompt_2, job.prompts.negative) == ("a bird", "")
    assert (job.scheduler.name, job.scheduler.use_karras_sigmas, job.scheduler.timestep_spacing) == (
        "dpmpp_2m",
        True,
        "trailing",
    )
    assert (job.sizes.original, job.sizes.crop) == ((500, 700), (5, 3))
    assert (job.handoff, plan.models) == (Handoff("demo-refiner", 0.5), ("demo-xl", "demo-refiner"))
    assert (job.output, job.priority) == (Output("webp", 70), Priority.BATCH)
    assert job.acceleration == Acceleration(3, 0.5, True)
    assert "numImages" not in job.recipe, "a picture hangs on one seed alone"
    assert "priority" not in job.recipe


@pytest.mark.parametrize("syntax", [pb.PROMPT_SYNTAX_UNSPECIFIED, pb.PROMPT_SYNTAX_LITERAL, pb.PROMPT_SYNTAX_WEIGHTED])
def test_prompts_are_literal_unless_weights_are_asked_for(syntax: Any) -> None:
    job = plan_from(pb.GenerateRequest(prompt="(owl:1.2)", prompt_syntax=syntax), INFOS, "id").job
    weighted = syntax == pb.PROMPT_SYNTAX_WEIGHTED
    assert (job.prompts.prompt, job.prompts.weighted) == ("(owl:1.2)", weighted)
    assert job.recipe.get("promptSyntax") == ("PROMPT_SYNTAX_WEIGHTED" if weighted else None)
    literal = pb.GenerateRequest(prompt="(owl:11) " * 300, prompt_syntax=syntax)
    if not weighted:
        assert plan_from(literal, INFOS, "id").job.prompts.prompt == literal.prompt


def test_as_many_tokens_as_there_may_be() -> None:
    plan_from(pb.GenerateRequest(prompt="owl " * 240, **WEIGHTED), INFOS, "id")
    plan_from(pb.GenerateRequest(prompt="owl BREAK " * 8, **WEIGHTED), INFOS, "id")
    assert violations(plan_from, pb.GenerateRequest(prompt="owl BREAK " * 9, **WEIGHTED))


@pytest.mark.parametrize("part", ["(a", "owl, ", "\\(", "[a (b"])
def test_no_weighted_prompt_takes_long(part: str) -> None:
    """It is checked in the event loop."""
    texts: dict[str, Any] = dict.fromkeys(request_fields.PROMPTS, (part * 8192)[:8192])
    began = time.perf_counter()
    violations(plan_from, pb.GenerateRequest(**texts, **WEIGHTED))
    assert time.perf_counter() - began < 2


def test_no_seed_is_drawn_by_lot() -> None:
    seeds = {plan_from(pb.GenerateRequest(prompt="x"), INFOS, "id").job.seeds for _ in range(3)}
    assert len(seeds) == 3


def test_a_refine_takes_the_size_of_its_picture_rounded_down() -> None:
    plan = plan_from(pb.RefineRequest(prompt="x", image=black(67, 93), steps=10, strength=0.4), INFOS, "id")
    assert plan.job.size == (88, 64)
    assert plan.job.source
    assert plan.job.source.picture.shape == (88, 64, 3)
    assert plan.job.source.strength == pytest.approx(0.4)
    assert plan.steps == 4


def test_previews_are_on_by_default_and_off_by_zero() -> None:
    def previews(**fields: Any) -> Previews | None:
        request = pb.StreamRequest(generate=pb.GenerateRequest(prompt="x"), preview=pb.PreviewOptions(**fields))
        stream_from(request, INFOS, "id")
        return previews_of(request)

    assert previews() == Previews()
    assert previews(every_steps=0) is None
    assert previews(every_steps=3, decoder=pb.PREVIEW_DECODER_LINEAR) == Previews(every=3, tiny=False)
