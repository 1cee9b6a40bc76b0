"""Chunks of token ids to the UNet's inputs: by one or two CLIP encoders to features and a pooled vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from safelight_server.arrays import Array
from safelight_server.lanes.lane import Lane
from safelight_server.lanes.network import Network
from safelight_server.lanes.ticket import Ticket

from .prompt_chunks import Chunk, weigh
from .prompt_tokenizer import PromptTokenizer

CHUNKS_KEPT = 32  # of each encoder; together some 600 kB each, for SDXL

Encoded = tuple[Array, Array | None]


class Embeddings(NamedTuple):
    """What the encoders make of a prompt: features (1, tokens, width), those of all encoders side by side, and the last
    encoder's pooled vector (1, width)."""

    features: Array
    pooled: Array


class TextEncoder:
    """One CLIP text encoder and its tokenizer, and what it made of the chunks that it read last."""

    def __init__(self, network: Network, tokenizer: PromptTokenizer) -> None:
        self.network = network
        self.tokenizer = tokenizer
        self._known: dict[tuple[int, ...], Encoded] = {}

    async def __call__(self, lane: Lane, chunks: Sequence[Chunk], ticket: Ticket | None = None) -> Encoded:
        """The features before the last layer (1, tokens, width), as SDXL takes them, of one chunk after the other; and
        maybe the pooled vector, which is the first chunk's."""
        encoded = [await self._encode(lane, chunk.ids, ticket) for chunk in chunks]
        features = [weigh(found, chunk.weights) for chunk, (found, _) in zip(chunks, encoded, strict=True)]
        return np.concatenate(features, axis=1), encoded[0][1]

    async def _encode(self, lane: Lane, ids: tuple[int, ...], ticket: Ticket | None) -> Encoded:
        """One chunk, its weights aside; the last ones are kept, as people try a prompt many times over."""
        known = self._known.pop(ids, None)
        self._known[ids] = encoded = known or await self._run(lane, ids, ticket)
        if len(self._known) > CHUNKS_KEPT:
            del self._known[next(iter(self._known))]  # the one that was asked for longest ago
        return encoded

    async def _run(self, lane: Lane, ids: tuple[int, ...], ticket: Ticket | None) -> Encoded:
        outputs = await lane.run(self.network, {"input_ids": np.array([ids], np.int64)}, ticket)
        (features,) = (value for name, value in outputs.items() if name.startswith("hidden_states"))
        return features, outputs.get("text_embeds")
