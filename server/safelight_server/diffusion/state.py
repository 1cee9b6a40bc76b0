"""An image between two steps, and where it starts: from noise or from a picture; random numbers are as in diffusers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from safelight_server.arrays import Array, Hw
from safelight_server.samplers.noise import randn

from .plan import Segment, Trajectory


class State(NamedTuple):
    """An image between two steps: all that the next step needs, so that it can be parked, moved and taken up again."""

    step: int  # the next one, in the segment's schedule
    latents: Array  # (1, channels, h, w)
    previous: (
        Array | None
    )  # (rows, channels, h, w): what the sampler looks back on, most often the x0 of the step before
    position: int  # in the seed's random numbers
    deep: Array | None = None  # what the UNet's inner layers said last, kept for steps that run without them

    def entering(self, segment: Segment) -> State:
        """Before the first step of a segment: latents and noise go on, a model looks back on its own steps alone."""
        return State(segment.first, self.latents, None, self.position)


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
    masked: Moments | None  # the picture without what is to be redrawn, for a UNet that looks at it
    weights: Array | None  # 1 where it is to be redrawn; None: no mask


def from_noise(trajectory: Trajectory, shape: tuple[int, ...]) -> State:
    """The state before the first step of a Generate; `shape` is that of its latents."""
    segment = trajectory.segment
    noise, position = randn(trajectory.seed, 0, shape)
    return State(segment.first, noise * np.float32(segment.schedule.init_noise_sigma), None, position)


def from_picture(trajectory: Trajectory, encoded: Encoded) -> tuple[State, Canvas]:
    """The state before the first step of a Refine: the picture at that step's noise level.

    With a mask and a strength of 1 it starts from pure noise, as diffusers does.
    """
    (job, segment, seed), schedule = trajectory, trajectory.segment.schedule
    assert job.source is not None
    anew = encoded.weights is not None and job.source.strength == 1.0
    original, position = encoded.picture.mean, 0
    if not (anew and encoded.masked):  # then diffusers has no use for the picture's latents, and samples none
        original, position = _sample(encoded.picture, seed, position)
    noise, position = randn(seed, position, original.shape)
    kept, noised = (0.0, schedule.init_noise_sigma) if anew else schedule.noising(segment.first)
    latents = np.float32(kept) * original + np.float32(noised) * noise
    if encoded.weights is None:
        return State(segment.first, latents, None, position), Canvas(original, noise, None, None)
    # The masked picture is sampled whether a UNet looks at it or not: ancestral samplers go on from there.
    masked, position = _sample(encoded.masked or encoded.picture, seed, position)
    extra = np.concatenate([encoded.weights, masked], axis=1) if encoded.masked else None
    return State(segment.first, latents, None, position), Canvas(original, noise, encoded.weights, extra)


def _sample(moments: Moments, seed: int, position: int) -> tuple[Array, int]:
    if moments.std is None:
        return moments.mean, position
    noise, position = randn(seed, position, moments.mean.shape)
    return moments.mean + moments.std * noise, position


def latent_shape(size: Hw, channels: int, factor: int) -> tuple[int, int, int, int]:
    """Of one image of `size` pixels: (1, channels, height / factor, width / factor)."""
    return (1, channels, size[0] // factor, size[1] // factor)
