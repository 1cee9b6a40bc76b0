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

from .prompt_chunks import Chunk
from .text_encoder import Embeddings, TextEncoder

Read = list[list[Chunk]]  # a prompt's chunks, for each encoder


class Conditioning(NamedTuple):
    """The UNet's inputs that stay the same at every step; one row, or negative and positive when guidance is on."""

    inputs: dict[str, Tensor]
    rows: int

    @property
    def positive(self) -> Conditioning:
        """Without the unguided half."""
        return Conditioning({name: value[-1:] for name, value in self.inputs.items()}, 1)


class Conditioner:
    """One model's text encoders at work on a job's prompts."""

    def __init__(self, config: ModelConfig, lane: Lane, encoders: Sequence[TextEncoder]) -> None:
        self._config, self._lane, self._encoders = config, lane, encoders

    def warnings(self, prompts: Prompts) -> list[str]:
        """A line for every prompt that is longer than its encoder reads; weighted ones are read whole."""
        if prompts.weighted:
            return []
        texts = {"prompt": prompts.prompt, "negative_prompt": prompts.negative or ""}
        # Those of the second encoder are the same as the first's, unless somebody said so.
        texts |= {"prompt_2": prompts.prompt_2} if prompts.prompt_2 != prompts.prompt else {}
        texts |= {"negative_prompt_2": prompts.negative_2 or ""} if prompts.negative_2 != prompts.negative else {}
        tokenizer = self._encoders[0].tokenizer
        cut = {field: tokenizer.excess(text) for field, text in texts.items()}
        return [
            f"{field}: the last {n} tokens do not fit into {tokenizer.max_tokens} and are cut; "
            "prompt_syntax weighted takes longer prompts"
            for field, n in cut.items()
            if n
        ]

    async def encode(self, job: Job, ticket: Ticket | None = None, *, refines: bool) -> Conditioning:
        """Prompts and sizes of a job as this model's UNet takes them; `refines`: it goes on from another's work."""
        embedding, prompts = self._config.guidance_embedding, job.prompts
        texts = [self._read(prompts, prompts.prompt, prompts.prompt_2)]
        if self.guides(job) and not self._zeroes(prompts):
            negative = prompts.negative or ""
            texts.append(self._read(prompts, negative, prompts.negative_2 or negative))
        positive, *rest = [await self._embed(ticket, chunks) for chunks in self._padded(texts)]
        negative_ids, positive_ids = time_ids(self._config.kind, job.sizes, job.size, refines=refines)
        rows, ids = [positive], [positive_ids]
        if self.guides(job):
            zeros = Embeddings(np.zeros_like(positive.features), np.zeros_like(positive.pooled))
            rows, ids = [rest[0] if rest else zeros, positive], [negative_ids, positive_ids]
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

    def _zeroes(self, prompts: Prompts) -> bool:
        """Whether zeros stand in the place of a negative prompt that nobody gave."""
        return prompts.negative is None and self._config.zero_negative

    def _read(self, prompts: Prompts, *texts: str) -> Read:
        """Each encoder reads its text; a refiner's one encoder reads the first."""
        pairs = [(encoder.tokenizer, text) for encoder, text in zip(self._encoders, texts, strict=False)]
        return [tokenizer.weighted(text) if prompts.weighted else tokenizer.literal(text) for tokenizer, text in pairs]

    def _padded(self, texts: Sequence[Read]) -> list[Read]:
        """All with as many chunks as the longest has: what is missing are empty ones."""
        most = max(len(chunks) for read in texts for chunks in read)
        empty = [encoder.tokenizer.literal("") for encoder in self._encoders]
        return [
            [chunks + nothing * (most - len(chunks)) for chunks, nothing in zip(read, empty, strict=True)]
            for read in texts
        ]

    async def _embed(self, ticket: Ticket | None, chunks: Read) -> Embeddings:
        features, pooled = [], None
        for encoder, own in zip(self._encoders, chunks, strict=True):
            feature, pool = await encoder(self._lane, own, ticket)
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
