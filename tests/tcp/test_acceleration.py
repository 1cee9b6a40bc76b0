"""Acceleration over TCP, on the demo models: near the exact picture, told in the answer and in the file, repeatable."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.json_format import ParseDict
from safelight import Acceleration, Client, InvalidRequest, Started
from safelight.v1 import images_pb2 as pb
from safelight.v1.images_pb2_grpc import ImageServiceStub
from safelight_server.compare.quality import psnr
from support.servers import ServerProcess

PROMPT = "an owl on a teal background"
SETTINGS: dict[str, Any] = {"model": "demo-xl", "seed": 5, "steps": 20, "guidance_scale": 2.0}


@pytest.fixture(scope="module")
def client(demo: ServerProcess) -> Iterator[Client]:
    with Client(demo.address) as client:
        yield client


@pytest.fixture(scope="module")
def exact(client: Client) -> Any:
    return client.generate(PROMPT, **SETTINGS)


def recipe_of(result: Any) -> dict[str, Any]:
    """The request that makes the picture again."""
    recipe: dict[str, Any] = json.loads(result.image.text["safelight"])
    return recipe


# How near, in dB, on this picture; measured, less a margin of some 3 dB.
WAYS = [
    (Acceleration(deep_cache_interval=2), 42.0),
    (Acceleration(deep_cache_interval=3), 39.0),
    (Acceleration(guidance_until=0.5), 30.0),
    (Acceleration(tiny_decoder=True), 22.0),
    (Acceleration(deep_cache_interval=3, guidance_until=0.5, tiny_decoder=True), 21.0),
]


@pytest.mark.parametrize(("way", "least"), WAYS, ids=str)
def test_an_accelerated_picture_is_near_the_exact_one_and_says_so(
    way: Acceleration, least: float, client: Client, exact: Any, demo: ServerProcess
) -> None:
    result: Any = client.generate(PROMPT, **SETTINGS, acceleration=way)
    assert exact.acceleration is None
    assert result.acceleration is not None
    asked = {name: value for name, value in vars(way).items() if value is not None}
    assert asked.items() <= vars(result.acceleration).items()
    near = psnr(np.asarray(exact.image), np.asarray(result.image))
    print(f"{way}: {near:.1f} dB")
    assert least <= near < 60, "near, and not the same"
    recipe = recipe_of(result)
    assert "acceleration" in recipe
    assert "acceleration" not in recipe_of(exact)
    with grpc.insecure_channel(demo.address) as channel:
        again = ImageServiceStub(channel).Generate(ParseDict(recipe, pb.GenerateRequest()))
    assert again.images[0].data == result.files[0]


def test_a_stream_tells_it_before_it_draws(client: Client) -> None:
    with client.stream(PROMPT, **SETTINGS, acceleration=Acceleration(deep_cache_interval=4)) as events:
        started = next(event for event in events if isinstance(event, Started))
        assert started.acceleration == Acceleration(4, 1.0, False)
        assert events.final().acceleration == started.acceleration


def test_nothing_asked_is_nothing_done(client: Client, exact: Any) -> None:
    nothing = Acceleration(deep_cache_interval=1, guidance_until=1.0, tiny_decoder=False)
    result = client.generate(PROMPT, **SETTINGS, acceleration=nothing, priority="batch")
    assert result.acceleration is None
    assert result.files == exact.files, "priority says when, not what"


def test_models_tell_what_they_can(client: Client) -> None:
    assert [model.has_deep_cache for model in client.models()] == [True, False, True]


def test_a_model_of_few_steps_is_not_cut(client: Client) -> None:
    with pytest.raises(InvalidRequest, match=r"acceleration\.deep_cache_interval: must be 0 for demo-vega"):
        client.generate(PROMPT, model="demo-vega", acceleration=Acceleration(deep_cache_interval=2))
