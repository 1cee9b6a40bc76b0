"""What the UNet gets beside the latents at every step: the prompts' embeddings, the sizes, and the guidance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from safelight_server.arrays import Array, Hw
from safelight_server.jobs import Job, Prompts, Sizes
from safelight_server.lanes.lane import Lane
from safelight_server.lanes.network import Tensor
from safelight_server.lanes.ticket import Ticket
from safelight_server.model_folder.model_config import Kind, ModelConfig

from .text_encoder import Embeddings, TextEncoder

PROMPTS_KEPT = 32  # some 600 kB each, for SDXL


class Conditioning(NamedTuple):
    """The UNet's inputs that stay the same at every step; one row, or negative and positive when guidance is on."""

    inputs: dict[str, Tensor]
    rows: int

    @property
    def positive(self) -> Conditioning:
        """Without the unguided half."""
        return Conditioning({name: value[-1:] for name, value in self.inputs.items()}, 1)


class Conditioner:
    """One model's text encoders, and the embeddings of the prompts that they read last."""

    def __init__(self, config: ModelConfig, lane: Lane, encoders: Sequence[TextEncoder]) -> None:
        self._config, self._lane, self._encoders = config, lane, encoders
        self._known: dict[tuple[str, ...], Embeddings] = {}

    def warnings(self, prompts: Prompts) -> list[str]:
        """A line for every prompt that is longer than its encoder reads."""
        texts = {"prompt": prompts.prompt, "negative_prompt": prompts.negative or ""}
        # Those of the second encoder are the same as the first's, unless somebody said so.
        texts |= {"prompt_2": prompts.prompt_2} if prompts.prompt_2 != prompts.prompt else {}
        texts |= {"negative_prompt_2": prompts.negative_2 or ""} if prompts.negative_2 != prompts.negative else {}
        encoder = self._encoders[0]
        cut = {field: encoder.excess(text) for field, text in texts.items()}
        return [
            f"{field}: the last {n} tokens do not fit into {encoder.max_tokens} and are cut"
            for field, n in cut.items()
            if n
        ]

    async def encode(self, job: Job, ticket: Ticket | None = None, *, refines: bool) -> Conditioning:
        """Prompts and sizes of a job as this model's UNet takes them; `refines`: it goes on from another's work."""
        embedding, prompts = self._config.guidance_embedding, job.prompts
        positive = await self._embed(ticket, prompts.prompt, prompts.prompt_2)
        negative_ids, positive_ids = time_ids(self._config.kind, job.sizes, job.size, refines=refines)
        rows, ids = [positive], [positive_ids]
        if self.guides(job):
            rows, ids = [await self._negative(ticket, prompts, positive), positive], [negative_ids, positive_ids]
        inputs: dict[str, Tensor] = {
            "encoder_hidden_states": np.concatenate([row.features for row in rows]),
            "text_embeds": np.concatenate([row.pooled for row in rows]),
            "time_ids": np.concatenate(ids),
        }
        if embedding is not None:
            inputs["timestep_cond"] = guidance_embedding(job.guidance, embedding)
        return Conditioning(inputs, len(rows))

    def guides(self, job: Job) -> bool:
        """Whether the UNet sees two rows at a guided step: without guidance, and where it is an input, it sees one."""
        return job.guidance > 1 and job.acceleration.guided > 0 and self._config.guidance_embedding is None

    async def _negative(self, ticket: Ticket | None, prompts: Prompts, like: Embeddings) -> Embeddings:
        if prompts.negative is None and self._config.zero_negative:
            return Embeddings(np.zeros_like(like.features), np.zeros_like(like.pooled))
        negative = prompts.negative or ""
        return await self._embed(ticket, negative, prompts.negative_2 or negative)

    async def _embed(self, ticket: Ticket | None, *texts: str) -> Embeddings:
        """The texts through the encoders; the last ones are kept, as people try a prompt many times over."""
        known = self._known.pop(texts, None)
        self._known[texts] = embeddings = known or await self._encode(ticket, *texts)
        if len(self._known) > PROMPTS_KEPT:
            del self._known[next(iter(self._known))]  # the one that was asked for longest ago
        return embeddings

    async def _encode(self, ticket: Ticket | None, *texts: str) -> Embeddings:
        """Each encoder reads its text; a refiner's one encoder reads the first."""
        features, pooled = [], None
        for encoder, text in zip(self._encoders, texts, strict=False):
            feature, pool = await encoder(self._lane, text, ticket)
            features.append(feature)
            pooled = pool if pool is not None else pooled
        assert pooled is not None, "the last text encoder has the pooled output"
        return Embeddings(np.concatenate(features, axis=-1), pooled)


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
