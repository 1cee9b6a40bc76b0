"""Both clients and the real server together: what the one sends, the other takes, and the pictures come back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import safelight
from PIL import Image
from safelight import Output, Previews, Refiner, SchedulerOptions, SizeConditioning
from support.clients import Connect
from support.servers import ServerProcess

JOB: dict[str, Any] = {"model": "base", "width": 96, "height": 64, "steps": 4, "seed": 5}


@pytest.fixture
def client(connect: Connect, server: ServerProcess) -> safelight.Client:
    return connect(server.address)


def test_generate(client: safelight.Client) -> None:
    result = client.generate("a red apple", num_images=2, **JOB)
    assert result.seeds == [5, 6]
    assert [image.size for image in result.images] == [(96, 64)] * 2
    assert 0 < result.timings.denoise < result.timings.total
    assert client.generate("a red apple", **{**JOB, "seed": 6}).files == result.files[1:]


def test_every_option_is_taken(client: safelight.Client) -> None:
    result = client.generate(
        "a red apple",
        prompt_2="red",
        negative_prompt="a cat",
        negative_prompt_2="",
        guidance_scale=6.0,
        guidance_rescale=0.5,
        scheduler="ddim",
        scheduler_options=SchedulerOptions(timestep_spacing="trailing", eta=0.5),
        size_conditioning=SizeConditioning(original=(640, 480), crop=(8, 16), aesthetic_score=7.0),
        refiner=Refiner("refiner", handoff=0.6),
        output=Output("webp", quality=70),
        **JOB,
    )
    assert (result.image.format, result.image.size) == ("WEBP", (96, 64))


@pytest.mark.parametrize("make", [lambda image: image, np.asarray], ids=["pillow", "array"])
def test_refine_changes_what_the_mask_says(client: safelight.Client, make: Callable[[Image.Image], Any]) -> None:
    picture = client.generate("a red apple", **JOB).image
    mask = np.zeros((64, 96), np.uint8)
    mask[:, 48:] = 255
    options: dict[str, Any] = {"model": "base", "steps": 10, "seed": 9}
    whole = np.asarray(client.refine(make(picture), "a cat", strength=0.6, **options).image).astype(int)
    half = np.asarray(client.refine(make(picture), "a cat", strength=0.6, mask=mask, **options).image).astype(int)
    kept = np.asarray(client.refine(make(picture), "a cat", strength=0.1, **options).image).astype(int)
    before = np.asarray(picture).astype(int)
    change = [np.abs(after - before).mean() for after in (kept, whole)]
    assert change[0] < change[1], "more strength, more change"
    left, right = np.abs(half - before)[:, :32].mean(), np.abs(half - before)[:, 64:].mean()
    assert left < right, "black in the mask is kept"


def test_stream_and_generate_give_the_same(client: safelight.Client) -> None:
    with client.stream("a red apple", previews=Previews(max_edge=32), **JOB) as stream:
        told = list(stream)
        result = stream.final()
    kinds = [type(event).__name__ for event in told]
    assert {"Queued", "Started", "Progress", "Preview", "ImageDone", "Done"} == set(kinds)
    previews = [event for event in told if isinstance(event, safelight.Preview)]
    assert all(preview.image.size == (32, 21) for preview in previews)
    assert result.files == client.generate("a red apple", **JOB).files


def test_models_and_health(client: safelight.Client) -> None:
    models = {model.name: model for model in client.models()}
    assert models["base"].defaults.width == 128
    assert "refiner" in models["base"].refiners
    assert client.health()
    assert client.health("refiner")
    with pytest.raises(safelight.NotFound):
        client.health("nobody")


def test_a_bad_request_names_its_fields(client: safelight.Client) -> None:
    with pytest.raises(safelight.InvalidRequest) as caught:
        client.generate("x", width=7, steps=0, guidance_scale=float("nan"))
    assert {violation.field for violation in caught.value.violations} == {"steps", "width", "guidance_scale"}
    assert caught.value.reason == "INVALID_REQUEST"
    with pytest.raises(safelight.NotFound, match="must be one of base"):
        client.generate("x", model="sd15")
