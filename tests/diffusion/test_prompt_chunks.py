"""Chunks and weights, against torch's CLIP and a plain second way to do A1111's arithmetic."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.diffusion.prompt_chunks import STRONGEST, weigh
from safelight_server.jobs import Prompts
from safelight_server.lanes.lane import Lane
from safelight_server.model_folder import model_config
from safelight_server.models import loader
from support import compiled
from support.engines import XL
from support.tiny_models import MODELS

pytestmark = pytest.mark.filterwarnings("ignore")  # the peers' own

LONG = "a red apple, and a cat on it, " * 9
PROMPTS = {
    "short": "a red apple",
    "weights": "a (red:1.3) [apple], ((cat))",
    "less than nothing": "a (red:-0.5) apple, (cat:0)",
    "75 tokens": "apple " * 75,
    "76 tokens": "apple " * 76,
    "commas": LONG,
    "commas and weights": f"({LONG}:1.2) [cat] {LONG}",
    "a comma at 75": "apple " * 74 + ", red cat",
    "a comma at 76": "apple " * 75 + ", red cat",
    "a comma at 56": "apple " * 55 + ", " + "red " * 40,
    "a comma at 55": "apple " * 54 + ", " + "red " * 40,
    "BREAK": "a red apple BREAK a (cat:1.4) BREAK " + LONG,
    "BREAK at both ends": " BREAK a red apple BREAK ",
    "unicode": "(Äpfel:1.2)  和 [🍎] 'tis\n",
}


class Peers(NamedTuple):
    ours: Pipeline
    theirs: Any


@pytest.fixture(scope="module")
def peers(folders: dict[str, str]) -> Peers:
    """The same weights in OpenVINO, as the server has them, and in torch."""
    from support import tiny_pipelines

    config = model_config.read(Path(folders["base"]))
    ours = loader.load("base", config, Lane("CPU"), compiled.device(), lambda what: None, max_edge=512)
    return Peers(ours, tiny_pipelines.pipeline(MODELS["base"]))


def conditioned(model: Pipeline, prompts: Prompts) -> Any:
    job = replace(XL, prompts=prompts, guidance=4.0)
    return asyncio.run(model.conditioner.encode(job, refines=False)).inputs


def expected(theirs: Any, prompt: str, prompt_2: str, least: int) -> tuple[Any, Any]:
    from support import weighted_peer

    one, _ = weighted_peer.features(prompt, theirs.tokenizer, theirs.text_encoder, least)
    two, pooled = weighted_peer.features(prompt_2, theirs.tokenizer_2, theirs.text_encoder_2, least)
    return np.concatenate([one, two], axis=-1), pooled


@pytest.mark.parametrize("case", PROMPTS)
def test_chunks_are_those_of_the_second_way(case: str, peers: Peers) -> None:
    from support import weighted_peer

    for encoder, tokenizer in zip(
        peers.ours.networks.encoders, (peers.theirs.tokenizer, peers.theirs.tokenizer_2), strict=True
    ):
        found = encoder.tokenizer.weighted(PROMPTS[case])
        wanted = weighted_peer.chunks(PROMPTS[case], tokenizer)
        assert [list(chunk.ids) for chunk in found] == [ids for ids, _ in wanted]
        assert [list(chunk.weights or [1.0] * 77) for chunk in found] == [weights for _, weights in wanted]


@pytest.mark.parametrize("case", PROMPTS)
def test_features_are_those_of_torch(case: str, peers: Peers) -> None:
    """Positive with a text for each encoder, and a short negative that is padded with empty chunks."""
    prompt, other, negative = PROMPTS[case], f"{PROMPTS[case]}, (cat:1.2)", "a [cat]"
    inputs = conditioned(peers.ours, Prompts(prompt, other, negative, negative, weighted=True))
    count = inputs["encoder_hidden_states"].shape[1] // 77
    for row, texts in enumerate([(negative, negative), (prompt, other)]):
        features, pooled = expected(peers.theirs, *texts, count)
        worst = abs(inputs["encoder_hidden_states"][row : row + 1] - features).max() / abs(features).max()
        print(f"{case}: {count} chunks, features {worst:.1e} off")
        assert worst < 5e-6
        assert abs(inputs["text_embeds"][row : row + 1] - pooled).max() < 2e-5


def test_short_text_without_weights_is_conditioned_to_the_bit_as_literal(peers: Peers) -> None:
    for prompts in (Prompts("a red apple", "a cat"), Prompts("a, b: c", "a, b: c", "blue", "red"), Prompts("", "")):
        literal = conditioned(peers.ours, prompts)
        weighted = conditioned(peers.ours, replace(prompts, weighted=True))
        assert {name: value.tobytes() for name, value in weighted.items()} == {
            name: value.tobytes() for name, value in literal.items()
        }


def test_the_syntax_is_not_mixed_up_by_what_is_kept(peers: Peers) -> None:
    def features(weighted: bool) -> bytes:
        found: bytes = conditioned(peers.ours, Prompts("(cat:1.5)", "(cat:1.5)", weighted=weighted))[
            "encoder_hidden_states"
        ].tobytes()
        return found

    literal, weighted = features(False), features(True)
    assert literal != weighted
    assert (features(False), features(True)) == (literal, weighted)


def test_a_longer_negative_makes_the_positive_longer(peers: Peers) -> None:
    inputs = conditioned(peers.ours, Prompts("a cat", "a cat", LONG * 2, "", weighted=True))
    assert inputs["encoder_hidden_states"].shape[:2] == (2, 77 * 4)
    short = conditioned(peers.ours, Prompts("a cat", "a cat", "", "", weighted=True))
    assert np.array_equal(inputs["encoder_hidden_states"][1, :77], short["encoder_hidden_states"][1])
    assert np.array_equal(inputs["text_embeds"][1], short["text_embeds"][1])


def test_weights_that_cancel_out_blow_nothing_up() -> None:
    features = np.array([[[1.0], [1.0], [2.0]]], np.float32)
    assert np.isfinite(weigh(features, (1.0, 1.0, -1.0))).all()
    assert abs(weigh(features, (1.0, 1.0, -1.0 + 1e-6))).max() <= 2 * STRONGEST
    assert np.isfinite(weigh(features * 0, (1.0, 1.0, 2.0))).all()
    assert weigh(features, (1.0, 2.0, 1.0)).mean() == pytest.approx(features.mean())
