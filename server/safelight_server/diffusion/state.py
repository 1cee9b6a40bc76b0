"""Where a picture starts: pure noise, or an encoded picture with noise on it. Random numbers in diffusers' order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from safelight_server.arrays import Array, Hw
from safelight_server.jobs import Job
from safelight_server.samplers.noise import randn

from .plan import Segment


class State(NamedTuple):
    """A picture between two steps: all that the next step needs, so that it can be parked, moved and taken up again."""

    step: int  # the next one, in the leg's schedule
    latents: Array  # (1, channels, h, w)
    previous: Array | None  # the step before's x0, for samplers that look back
    position: int  # of the seed's noise
    deep: Array | None = None  # what the UNet's inner layers said last, kept for steps that run without them


class Moments(NamedTuple):
    """An encoded picture: mean and spread of its latents, or one value and no spread; (1, channels, h, w)."""

    mean: Array
    std: Array | None


class Canvas(NamedTuple):
    """What a Refine keeps to: the picture's latents and noise, blended in where `weights` (1, 1, h, w) is 0. A UNet
    that looks at the masked picture itself is given `extra` channels (1, 1 + channels, h, w) in place of that."""

    original: Array
    noise: Array
    weights: Array | None
    extra: Array | None


class Encoded(NamedTuple):
    """A job's source picture as the VAE sees it, the same for every seed."""

    picture: Moments
    masked: Moments | None  # the picture without what is to be drawn anew, for a UNet that looks at it
    weights: Array | None  # 1 where it is to be drawn anew; None: no mask


def from_noise(segment: Segment, seed: int, shape: tuple[int, ...]) -> State:
    noise, position = randn(seed, 0, shape)
    return State(segment.first, noise * np.float32(segment.schedule.init_noise_sigma), None, position)


def from_picture(segment: Segment, job: Job, seed: int, encoded: Encoded) -> tuple[State, Canvas]:
    """Starts at the leg's first noise level, or with a mask and all strength from pure noise."""
    assert job.source is not None
    anew = encoded.weights is not None and job.source.strength == 1.0
    original, position = encoded.picture.mean, 0
    if not (anew and encoded.masked):  # then diffusers has no use for the picture's latents, and draws none
        original, position = _sample(encoded.picture, seed, position)
    noise, position = randn(seed, position, original.shape)
    kept, noised = (0.0, segment.schedule.init_noise_sigma) if anew else segment.schedule.noising(segment.first)
    latents = np.float32(kept) * original + np.float32(noised) * noise
    if encoded.weights is None:
        return State(segment.first, latents, None, position), Canvas(original, noise, None, None)
    # The masked picture's draw is made whether a UNet looks at it or not: ancestral samplers go on from there.
    masked, position = _sample(encoded.masked or encoded.picture, seed, position)
    extra = np.concatenate([encoded.weights, masked], axis=1) if encoded.masked else None
    return State(segment.first, latents, None, position), Canvas(original, noise, encoded.weights, extra)


def _sample(moments: Moments, seed: int, position: int) -> tuple[Array, int]:
    if moments.std is None:
        return moments.mean, position
    noise, position = randn(seed, position, moments.mean.shape)
    return moments.mean + moments.std * noise, position


def latent_shape(size: Hw, channels: int, factor: int) -> tuple[int, int, int, int]:
    return (1, channels, size[0] // factor, size[1] // factor)
