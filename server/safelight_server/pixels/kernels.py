"""Pictures, latents and masks as arrays: how one becomes the other, and the arithmetic of a sampler's step.

Here, and only here, the C extension or its NumPy twin is chosen; both give the same bits. SAFELIGHT_PURE=1 in the
environment chooses NumPy. Every function returns new arrays and changes none that it is given. An array must hold
float32 or uint8 as stated, be C-contiguous, and have no empty dimension. Else a TypeError (for what it holds) or a
ValueError (for its shape, its order, or a number out of range) names the argument, the rule and the value.
"""

import contextlib
import os
from typing import Literal

import numpy as np

from . import _numpy as low_level
from ._numpy import Bytes, Floats
from .coefficients import Update

# `low_level` is the module whose functions do the work, IMPLEMENTATION its name.
IMPLEMENTATION: Literal["c", "numpy"] = "numpy"
if os.environ.get("SAFELIGHT_PURE") != "1":
    with contextlib.suppress(ImportError):
        from . import _native as low_level  # type: ignore[no-redef]

        IMPLEMENTATION = "c"


def planes_from_picture(picture: Bytes) -> Floats:
    """A picture (height, width, 3 or 4), 0..255, as planes (1, 3, height, width), -1..1; no fourth channel is read."""
    planes = np.empty((1, 3, *picture.shape[:2]), np.float32)
    low_level.planes_from_picture(picture, planes)
    return planes


def picture_from_planes(planes: Floats) -> Bytes:
    """Planes (1, 3, height, width), -1..1, as a picture (height, width, 3), 0..255.

    Values out of range go to the nearer end, halves to the even neighbour, and NaN, which a broken network gives, to 0.
    """
    picture = np.empty((*planes.shape[2:], 3), np.uint8)
    low_level.picture_from_planes(planes, picture)
    return picture


def preview_from_latents(latents: Floats, matrix: Floats, bias: Floats) -> Bytes:
    """A small picture (height, width, 3) of latents (1, channels, height, width), without the VAE.

    Red, green and blue, in -1..1, are each a weighted sum of the 1 to 64 channels: latents times `matrix`
    (channels, 3), plus `bias` (3,).
    """
    picture = np.empty((*latents.shape[2:], 3), np.uint8)
    low_level.preview_from_latents(latents, matrix, bias, picture)
    return picture


def weights_from_mask(mask: Bytes, factor: int = 8) -> Floats:
    """A mask (height, width) as weights (1, 1, height / factor, width / factor): 1.0 to be drawn anew, 0.0 to be kept.

    The upper left pixel of each factor x factor square decides: 128 and above is 1.0. ValueError where `factor` does
    not divide height and width.
    """
    if factor < 1 or any(size % factor for size in mask.shape):
        raise ValueError(f"mask must have a height and a width that factor {factor} divides, not {mask.shape}")
    weights = np.empty((1, 1, *(size // factor for size in mask.shape)), np.float32)
    low_level.weights_from_mask(mask, weights)
    return weights


def advance(
    sample: Floats,
    output: Floats,
    *,
    guidance: float,
    rescale: float,
    update: Update,
    previous: Floats | None = None,
    noise: Floats | None = None,
) -> tuple[Floats, Floats]:
    """One sampler step: the next sample and the denoised estimate, both (1, channels, height, width) like `sample`.

    `output` (rows, channels, height, width) is the network's. One row is taken as it is, and guidance and rescale do
    not matter; of two rows the first is unconditional, and guidance makes first + `guidance` * (second - first) of
    them. `rescale` in 0..1 is the share in which the guided row gets back the standard deviation of the second, the
    conditional one (Lin et al. 2023, arXiv:2305.08891, 3.4); a guided row without any deviation stays as it is.
    `update` has the weights; `previous`, the denoised estimate of the step before, and fresh `noise`, both shaped like
    `sample`, may be None where their weight is 0.
    """
    following, denoised = np.empty(sample.shape, np.float32), np.empty(sample.shape, np.float32)
    low_level.advance(sample, output, guidance, rescale, update, previous, noise, following, denoised)
    return following, denoised


def blend(
    sample: Floats, weights: Floats, original: Floats, noise: Floats, *, original_scale: float, noise_scale: float
) -> Floats:
    """Inpainting: `sample` where `weights` is 1, and where it is 0 the original at the noise level of the step.

    That is (1 - weights) * (original_scale * original + noise_scale * noise) + weights * sample, for three arrays
    (1, channels, height, width) and weights (1, 1, height, width).
    """
    blended = np.empty(sample.shape, np.float32)
    low_level.blend(sample, weights, original, noise, original_scale, noise_scale, blended)
    return blended
