"""A VAE's latents and the UNet's: the same picture on two scales; and small versions of it for previews."""

from __future__ import annotations

import numpy as np

from safelight_server.arrays import Array
from safelight_server.model_folder.model_config import Latents


def to_unet(raw: Array, space: Latents) -> Array:
    """What the VAE's encoder gave, (1, channels, h, w), as the UNet takes it."""
    if space.mean is None or space.std is None:
        return np.float32(space.scaling) * raw
    return (raw - by_channel(space.mean)) * np.float32(space.scaling) / by_channel(space.std)


def to_vae(latents: Array, space: Latents) -> Array:
    """What the UNet's steps gave, (1, channels, h, w), as the VAE's decoder takes it."""
    if space.mean is None or space.std is None:
        return latents / np.float32(space.scaling)
    return latents * by_channel(space.std) / np.float32(space.scaling) + by_channel(space.mean)


def by_channel(values: tuple[float, ...]) -> Array:
    return np.array(values, np.float32).reshape(1, -1, 1, 1)


def halve(latents: Array, least: int) -> Array:
    """Latents (1, channels, h, w), halved by means of 2 x 2 for as long as the longer edge stays `least` or more.

    A preview has a few hundred pixels: decoded at this size it costs a quarter or a sixteenth of a whole picture.
    """
    *_, h, w = latents.shape
    if h % 2 or w % 2 or max(h, w) // 2 < least:
        return latents
    pairs = latents.reshape(*latents.shape[:2], h // 2, 2, w // 2, 2)
    return halve(pairs.mean(axis=(3, 5)), least)
