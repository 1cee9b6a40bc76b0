"""What pictures say of themselves, as others read it: sd-parsers and sd-prompt-reader."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
import safelight
import sd_parsers
from PIL import Image
from safelight_server import __version__
from safelight_server.diffusion.prompt_syntax import pieces_of
from safelight_server.images import files
from safelight_server.images.parameters import parameters_text
from safelight_server.jobs import Output
from safelight_server.samplers import table as samplers
from safelight_server.samplers.names import canonical
from sd_prompt_reader.image_data_reader import ImageDataReader

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
RECIPE: dict[str, Any] = {
    "model": "xl",
    "prompt": "ein Apfel, 🍎 (auf: einem Tisch)",
    "negativePrompt": "blau, grün",
    "width": 40,
    "height": 24,
    "steps": 20,
    "guidanceScale": 7.5,
    "seed": 4294967295,
    "scheduler": "euler_ancestral",
}
WEIGHTED = {"promptSyntax": "PROMPT_SYNTAX_WEIGHTED"}
SHOWN = r"ein Apfel, 🍎 \(auf: einem Tisch\)"  # in A1111's syntax, where brackets are weights
FORMATS: list[Any] = ["png", "jpeg", "webp"]


def saved(format: Any, recipe: dict[str, Any] = RECIPE) -> bytes:
    return files.save(PIXELS, Output(format), recipe, "0123456789")


@pytest.mark.parametrize("format", FORMATS)
def test_sd_parsers_reads_every_field(format: Any) -> None:
    with Image.open(io.BytesIO(saved(format))) as image:
        told = sd_parsers.ParserManager().parse(image)
    assert told is not None
    (sampler,) = told.samplers
    assert [prompt.value for prompt in told.prompts] == [SHOWN]
    assert [prompt.value for prompt in told.negative_prompts] == [RECIPE["negativePrompt"]]
    assert sampler.name == "Euler a"
    assert sampler.parameters == {"cfg_scale": "7.5", "seed": "4294967295", "steps": "20"}
    assert sampler.model is not None
    assert (sampler.model.name, sampler.model.hash) == ("xl", "0123456789")
    assert told.metadata == {"Size": "40x24", "Version": f"safelight {__version__}"}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, RECIPE["prompt"]),
        (WEIGHTED | {"prompt": r"(an owl:1.3), \(on\) a [table]"}, "an owl, (on) a table"),
    ],
)
def test_others_read_the_words_that_were_drawn(format: Any, more: dict[str, Any], words: str) -> None:
    with Image.open(io.BytesIO(saved(format, RECIPE | more))) as image:
        told = sd_parsers.ParserManager().parse(image)
    assert told is not None
    (prompt,) = [prompt.value for prompt in told.prompts]
    pieces = pieces_of(prompt)
    assert "".join(piece.text for piece in pieces if piece) == words
    assert {piece.weight for piece in pieces if piece} == ({1, 1.3, 1 / 1.1} if more else {1})


@pytest.mark.parametrize("format", FORMATS)
def test_sd_prompt_reader_reads_every_field(format: Any) -> None:
    told = ImageDataReader(io.BytesIO(saved(format)))
    assert told.tool == "A1111 webUI"
    assert (told.positive, told.negative) == (SHOWN, RECIPE["negativePrompt"])
    assert told.parameter == {
        "model": "xl",
        "sampler": "Euler a",
        "seed": "4294967295",
        "cfg": "7.5",
        "steps": "20",
        "size": "40x24",
    }


@pytest.mark.parametrize("format", FORMATS)
def test_the_client_reads_the_request(format: Any) -> None:
    told = safelight.recipe(saved(format))
    assert told["prompt"] == RECIPE["prompt"]
    assert (told["width"], told["guidance_scale"], told["seed"]) == (40, 7.5, 4294967295)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"scheduler": "dpmpp_2m_karras"}, "Sampler: DPM++ 2M Karras,"),
        ({"scheduler": "dpmpp_2m", "schedulerOptions": {"useKarrasSigmas": True}}, "Sampler: DPM++ 2M Karras,"),
        ({"scheduler": "kdpm2_ancestral_karras"}, "Sampler: DPM2 a Karras,"),
        ({"scheduler": "euler_sgm_uniform"}, "Sampler: Euler SGM Uniform,"),
        ({"scheduler": "new_one"}, "Sampler: new_one,"),
        ({"strength": 0.3}, "Denoising strength: 0.3,"),
        ({"refiner": {"model": "fine", "handoff": 0.8}}, "Refiner: fine, Refiner switch at: 0.8,"),
        ({"model": "a,b:c"}, "Model: a b c,"),
        ({"prompt": "a\nSteps: 3\nNegative prompt: b"}, "a Steps: 3 Negative prompt: b\n"),
        ({"prompt": r"a [b] \ c", "negativePrompt": "(d)"}, "a \\[b\\] \\\\ c\nNegative prompt: \\(d\\)\n"),
        (WEIGHTED | {"prompt": r"(a:1.2) \(b\)", "negativePrompt": "[c]"}, "(a:1.2) \\(b\\)\nNegative prompt: [c]\n"),
        ({"negativePrompt": ""}, f"{SHOWN}\nSteps: 20,"),
    ],
)
def test_settings(more: dict[str, Any], expected: str) -> None:
    assert expected in parameters_text({**RECIPE, **more})


def test_a_model_without_a_seal_has_no_hash() -> None:
    assert "Model hash" not in parameters_text(RECIPE)


@pytest.mark.parametrize("name", samplers.SAMPLERS)
def test_the_name_of_every_scheduler_is_one_that_is_taken(name: str) -> None:
    told = parameters_text({**RECIPE, "scheduler": name, "schedulerOptions": {}})
    shown = told.partition("Sampler: ")[2].partition(",")[0]
    assert shown != name
    assert canonical(shown) == name


@pytest.mark.parametrize("format", FORMATS)
def test_a_request_that_is_too_long_for_exif_is_no_fault(format: Any) -> None:
    recipe = RECIPE | {"prompt": "apple " * 20_000}
    with Image.open(io.BytesIO(saved(format, recipe))) as image:
        image.load()
        assert image.size == (40, 24)
        if format == "png":
            assert json.loads(image.text["safelight"]) == recipe  # type: ignore[attr-defined]
