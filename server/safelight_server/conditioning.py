"""SDXL's size conditioning and the guidance embedding: the numbers beside the prompt that the UNet is told."""

from __future__ import annotations

import numpy as np

from .facts import Kind
from .jobs import Array, Hw, Sizes


def time_ids(kind: Kind, sizes: Sizes, size: Hw, *, refines: bool) -> tuple[Array, Array]:
    """The `time_ids` of the negative and of the positive row, each (1, 6), or (1, 5) with an aesthetic score.

    (height, width) first, as the models were trained. What a request leaves out, and where a model has no use for a
    field, follows diffusers' pipelines, so that the same request gives the same picture.
    """
    original, target = sizes.original or size, sizes.target or size
    negative_original, negative_target = sizes.negative_original or original, sizes.negative_target or target
    if kind == "refiner":
        negative = (*negative_original, *sizes.negative_crop, sizes.negative_aesthetic)
        positive = (*original, *sizes.crop, sizes.aesthetic)
        return _row(negative), _row(positive)
    # A redrawn picture's negative row keeps the positive crop; a new one has its own, if it has sizes of its own.
    own = not refines and sizes.negative_original is not None and sizes.negative_target is not None
    negative_crop = sizes.negative_crop if own else sizes.crop
    return _row((*negative_original, *negative_crop, *negative_target)), _row((*original, *sizes.crop, *target))


def _row(values: tuple[float, ...]) -> Array:
    return np.array([values], np.float32)


def guidance_embedding(guidance: float, width: int) -> Array:
    """The sinusoidal embedding of a guidance scale, (1, width), for UNets that were distilled with one.

    Luo et al. (2023), "Latent Consistency Models", arXiv 2310.04378: guidance is an input, not a second row.
    """
    half = width // 2
    frequencies = np.exp(np.arange(half, dtype=np.float32) * np.float32(-np.log(10000.0) / (half - 1)))
    angles = np.float32((guidance - 1) * 1000.0) * frequencies
    embedding = np.concatenate([np.sin(angles), np.cos(angles), np.zeros(width % 2, np.float32)])
    return embedding[None].astype(np.float32)
