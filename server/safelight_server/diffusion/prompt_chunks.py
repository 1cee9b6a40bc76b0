"""Tokens to chunks as long as an encoder reads, and what their weights do to the features: A1111's arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from safelight_server.arrays import Array

BACKTRACK = 20  # tokens: a chunk is cut behind a comma that is at most so far from its end
STRONGEST = 10.0  # what the mean may scale the features by: weights that cancel out would blow them up


class Token(NamedTuple):
    id: int
    weight: float


class Chunk(NamedTuple):
    """What an encoder reads at once: the ids with start, end and padding; and their weights, None if all are 1."""

    ids: tuple[int, ...]
    weights: tuple[float, ...] | None = None


def pack(tokens: Iterable[Token | None], size: int, comma: int | None) -> list[list[Token]]:
    """Chunks of at most `size` tokens, one at least; None begins a new one. `comma` is the id of a comma.

    A sentence is not torn apart where its chunk can end with the comma before it.
    """
    chunks: list[list[Token]] = []
    chunk: list[Token] = []
    for token in tokens:
        if token is None:
            chunks.append(chunk)
            chunk = []
            continue
        if len(chunk) == size:
            cut = size if token.id == comma else _behind_comma(chunk, comma)
            chunks.append(chunk[:cut])
            chunk = chunk[cut:]
        chunk.append(token)
    return [*chunks, chunk] if chunk or not chunks else chunks


def _behind_comma(chunk: Sequence[Token], comma: int | None) -> int:
    """Where a full chunk is cut: behind its last comma, if that is near, or not at all."""
    last = max((place for place, token in enumerate(chunk) if token.id == comma), default=-BACKTRACK)
    return last + 1 if len(chunk) - last <= BACKTRACK else len(chunk)


def count(chunks: Sequence[Sequence[Token]], size: int) -> int:
    """The tokens that the chunks take, where all but the last are filled up."""
    return (len(chunks) - 1) * size + len(chunks[-1])


def weigh(features: Array, weights: Sequence[float] | None) -> Array:
    """Features (1, tokens, width) of one chunk, each token's times its weight, and then all so that their mean is as it
    was before."""
    if weights is None:
        return features
    weighted = features * np.array(weights, np.float32)[:, None]
    with np.errstate(all="ignore"):
        ratio = features.mean(dtype=np.float64) / weighted.mean(dtype=np.float64)
    ratio = 1.0 if np.isnan(ratio) else np.clip(ratio, -STRONGEST, STRONGEST)
    return weighted * np.float32(ratio)
