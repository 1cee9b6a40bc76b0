"""The first runs of a model: its preview map, and what it gives back afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from safelight_server.arrays import Array, Pixels
from safelight_server.lanes.compiled_network import CompiledNetwork
from safelight_server.lanes.lane import Lane
from safelight_server.model_folder import model_config
from safelight_server.model_folder.model_config import Latents
from safelight_server.models import loader, warmup
from safelight_server.models.learning import Learning
from safelight_server.models.notes import Notes
from safelight_server.pixels import kernels
from support import compiled
from support.engines import load, run


def test_the_preview_map_is_the_decoder_where_the_decoder_is_linear() -> None:
    matrix = np.array([[0.3, 0.1, 0.0], [-0.1, 0.2, 0.1], [0.05, 0.0, -0.2], [0.0, -0.1, 0.1]], np.float32)
    bias = np.array([0.1, -0.05, 0.0], np.float32)

    async def decode(latents: Array) -> Pixels:
        return kernels.preview_from_latents(latents, matrix, bias).repeat(8, axis=0).repeat(8, axis=1)

    found, offset = asyncio.run(warmup.fit_latent_rgb(decode, Latents(4, 8, 1.0, None, None)))
    assert np.abs(found - matrix).max() < 0.01
    assert np.abs(offset - bias).max() < 0.01


def test_the_preview_map_of_a_model_is_nearer_than_its_mean_colour(folders: dict[str, str]) -> None:
    async def test() -> None:
        config = model_config.read(Path(folders["base"]))
        model = loader.load("m", config, Lane("CPU"), compiled.device(None), lambda what: None, max_edge=512)
        await warmup.warm(model, Learning(Notes(), model.config, compiled.device(None)), lambda what: None)
        latents = np.random.default_rng(5).standard_normal((1, 4, 8, 8)).astype(np.float32).repeat(2, 2).repeat(2, 3)
        picture = (await model.decode(latents)).reshape(16, 8, 16, 8, 3).mean(axis=(1, 3))
        preview = await model.preview(latents, tiny=False)
        assert np.abs(preview - picture).mean() < 0.95 * np.abs(picture - picture.mean(axis=(0, 1))).mean()

    run(test)


def test_what_the_large_batches_took_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed: list[str] = []
    monkeypatch.setattr(CompiledNetwork, "trim", lambda network: trimmed.append(network.name))

    async def test() -> None:
        model = load("demo-vega")
        await warmup.warm(model, Learning(Notes(), model.config, compiled.device(None)), lambda what: None)
        assert trimmed == [network.name for network in model.networks.all()]

    run(test)
