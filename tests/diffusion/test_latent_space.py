"""Latents on two scales, and small ones for previews."""

from __future__ import annotations

import numpy as np
import pytest
from safelight_server.diffusion.latent_space import halve, to_unet, to_vae
from safelight_server.model_folder.model_config import Latents

PLAIN = Latents(channels=4, factor=8, scaling=0.13025, mean=None, std=None)
MOVED = Latents(channels=4, factor=8, scaling=0.5, mean=(-1.6, 1.1, 0.2, 0.0), std=(8.4, 8.5, 7.3, 7.9))


@pytest.mark.parametrize("space", [PLAIN, MOVED], ids=["scaled", "with mean and deviation"])
def test_there_and_back(space: Latents) -> None:
    raw = np.random.default_rng(0).standard_normal((1, 4, 6, 5), np.float32)
    assert np.allclose(to_vae(to_unet(raw, space), space), raw, atol=1e-5)


def test_each_channel_has_its_own_mean_and_deviation() -> None:
    assert MOVED.mean
    assert MOVED.std
    raw = np.array(MOVED.mean, np.float32).reshape(1, 4, 1, 1) + np.array(MOVED.std, np.float32).reshape(1, 4, 1, 1)
    assert np.allclose(to_unet(raw, MOVED), 0.5)


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
    small = halve(latents, least)
    assert small.shape == (1, 4, *left)
    assert small.mean() == pytest.approx(latents.mean(), abs=1e-6)
