"""Weighted prompts on a real server: what is beyond 77 tokens is drawn, told in the file, and drawn again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from safelight import Client, InvalidRequest, Refiner, recipe
from support.pictures import picture
from support.servers import ServerProcess

LONG = "an apple beside a red cat and a table, " * 8  # some 90 tokens
SETTINGS: dict[str, Any] = {"model": "base", "steps": 4, "seed": 3, "width": 96, "height": 64, "guidance_scale": 4}


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[Client]:
    with Client(server.address) as client:
        yield client


def test_what_literal_cuts_weighted_draws(client: Client) -> None:
    def draw(text: str, **more: Any) -> Any:
        return client.generate(text, **SETTINGS, **more)

    cut, whole = draw(LONG), draw(LONG, prompt_syntax="weighted")
    assert "prompt_syntax weighted takes longer prompts" in cut.warnings[0]
    assert not whole.warnings
    assert np.asarray(cut.image).tolist() != np.asarray(whole.image).tolist()
    assert draw(LONG, prompt_syntax="literal").files == cut.files
    assert client.generate(**recipe(whole.files[0])).files == whole.files
    stronger = draw(f"({LONG}:1.4)", negative_prompt="[blue] BREAK green", prompt_syntax="weighted")
    assert stronger.files not in (cut.files, whole.files)


def test_without_weights_nothing_changes(client: Client) -> None:
    for more in ({}, {"negative_prompt": "blue", "prompt_2": "a cat"}, {"refiner": Refiner("refiner", 0.5)}):
        literal = client.generate("a red apple", **SETTINGS, **more)
        weighted = client.generate("a red apple", prompt_syntax="weighted", **SETTINGS, **more)
        assert np.array_equal(np.asarray(literal.image), np.asarray(weighted.image))


def test_refine_and_the_refiner_read_weights(client: Client) -> None:
    settings = {**SETTINGS, "steps": 8}
    refined = [
        client.refine(picture(), text, strength=0.5, prompt_syntax="weighted", **{**settings, "model": model})
        for model in ("base", "refiner", "inpaint")
        for text in ("a (red:1.4) apple", LONG)
    ]
    handed = [
        client.generate(LONG, refiner=Refiner("refiner", 0.5), prompt_syntax=syntax, **settings)
        for syntax in ("literal", "weighted")
    ]
    assert len({result.files[0] for result in (*refined, *handed)}) == 8


def test_what_is_wrong_is_told_before_anything_is_drawn(client: Client) -> None:
    with pytest.raises(InvalidRequest, match="prompt: must have at most 600 tokens, not 641"):
        client.generate("apple " * 641, prompt_syntax="weighted", **SETTINGS)
    with pytest.raises(InvalidRequest, match=r"negative_prompt: must have weights from -10 to 10, not 99 of 'blue'"):
        client.generate("apple", negative_prompt="(blue:99)", prompt_syntax="weighted", **SETTINGS)
