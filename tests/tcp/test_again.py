"""Pictures of a real server say how they were drawn, and are drawn again by that, to the byte."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sd_parsers
from safelight import Acceleration, Client, Output, Refiner, recipe
from safelight.__main__ import main
from support.files import opened, written
from support.servers import ServerProcess

SETTINGS: dict[str, Any] = {"model": "demo-xl", "steps": 3, "seed": 5}
WAYS: list[dict[str, Any]] = [
    {},
    {"output": "jpeg"},
    {"output": Output("webp", 80)},
    {"negative_prompt": "", "guidance_scale": 3.3, "scheduler": "ddim", "refiner": Refiner("demo-refiner", 0.5)},
    {"acceleration": Acceleration(tiny_decoder=True, guidance_until=0.5)},
]


@pytest.fixture(scope="module")
def client(demo: ServerProcess) -> Iterator[Client]:
    with Client(demo.address) as client:
        yield client


@pytest.mark.parametrize("more", WAYS, ids=str)
def test_a_picture_is_drawn_again_to_the_byte(client: Client, more: dict[str, Any]) -> None:
    drawn = client.generate("a red apple", num_images=2, **SETTINGS, **more)
    for data in drawn.files:
        assert client.generate(**recipe(data)).files == [data]


def test_from_the_shell(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAFELIGHT_ADDRESS", client.address)
    assert main(["generate", "a red apple", "--steps", "2", "-o", "a.jpg", "-q"]) == 0
    assert main(["again", "a.jpg", "-o", "b.jpg", "-q"]) == 0
    assert main(["refine", "a.jpg", "an owl", "--steps", "8", "-o", "c.png", "-q"]) == 0
    assert main(["again", "c.png", "--image", "a.jpg", "-o", "d.png", "-q"]) == 0
    assert Path("a.jpg").read_bytes() == Path("b.jpg").read_bytes()
    assert Path("c.png").read_bytes() == Path("d.png").read_bytes()


def test_others_read_the_model_and_its_hash(client: Client, tmp_path: Path) -> None:
    data = client.generate("a red apple", **SETTINGS).files[0]
    told = sd_parsers.ParserManager().parse(written(tmp_path / "a.png", data))
    assert told is not None
    (sampler,) = told.samplers
    assert sampler.model is not None
    assert sampler.model.name == "demo-xl"
    assert len(sampler.model.hash or "") == 10
    assert sampler.parameters["seed"] == "5"
    assert opened(tmp_path / "a.png").size == (128, 128)
