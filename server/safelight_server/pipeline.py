"""One model's networks put to work: encode, denoise, decode. The only place with the graphs' input and output names."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import NamedTuple

import numpy as np

from . import pixels, start
from .cards import Card
from .conditioning import guidance_embedding, time_ids
from .errors import InferenceFailed
from .facts import Facts
from .jobs import Array, Job, Pixels, Words
from .lane import Lane, Rank
from .network import Network, Tensor
from .noise import draw
from .plan import Leg
from .start import Canvas, Encoded, Moments, State
from .text import Encoder, Prompt

PROMPTS_KEPT = 32  # some 600 kB each, for SDXL


class Networks(NamedTuple):
    encoders: tuple[Encoder, ...]
    unet: Network
    vae_encoder: Network
    vae_decoder: Network
    tiny_decoder: Network | None

    def all(self) -> list[Network]:
        rest = (self.unet, self.vae_encoder, self.vae_decoder, self.tiny_decoder)
        return [encoder.network for encoder in self.encoders] + [network for network in rest if network is not None]


class Conditioning(NamedTuple):
    """What the UNet is told at every step; one row, or negative and positive when guidance is on."""

    inputs: dict[str, Tensor]
    rows: int


class Step(NamedTuple):
    """A denoising step, done: the state after it, the clean picture as guessed (x0 latents), and its seconds."""

    state: State
    denoised: Array
    seconds: float


class Pipeline:
    """A served model. Every await of a method is at most one inference on the model's lane."""

    def __init__(self, card: Card, lane: Lane, networks: Networks, latent_rgb: tuple[Array, Array]) -> None:
        self.card = card
        self.lane = lane
        self.networks = networks
        self.latent_rgb = latent_rgb
        self._prompts: dict[tuple[str, ...], Prompt] = {}

    @property
    def facts(self) -> Facts:
        return self.card.facts

    @property
    def ready(self) -> bool:
        return not any(network.broken for network in self.networks.all())

    async def heal(self) -> None:
        """Compiles anew what has failed."""
        for network in self.networks.all():
            if network.broken:
                await asyncio.to_thread(network.load)

    def warnings(self, words: Words) -> list[str]:
        """A line for every prompt that is longer than its encoder reads."""
        texts = {"prompt": words.prompt, "negative_prompt": words.negative or ""}
        # Those of the second encoder are the same as the first's, unless somebody said so.
        texts |= {"prompt_2": words.prompt_2} if words.prompt_2 != words.prompt else {}
        texts |= {"negative_prompt_2": words.negative_2 or ""} if words.negative_2 != words.negative else {}
        encoder = self.networks.encoders[0]
        cut = {field: encoder.excess(text) for field, text in texts.items()}
        return [
            f"{field}: the last {n} tokens do not fit into {encoder.max_tokens} and are cut"
            for field, n in cut.items()
            if n
        ]

    async def encode(self, job: Job, *, refines: bool) -> Conditioning:
        """Words and sizes of a job as this model's UNet takes them; `refines`: it goes on from another's work."""
        embedding = self.facts.guidance_embedding
        guided = job.guidance > 1 and embedding is None
        words = job.words
        positive = await self._prompt(words.prompt, words.prompt_2)
        negative_ids, positive_ids = time_ids(self.facts.kind, job.sizes, job.size, refines=refines)
        rows, ids = [positive], [positive_ids]
        if guided:
            rows, ids = [await self._negative(words, positive), positive], [negative_ids, positive_ids]
        inputs: dict[str, Tensor] = {
            "encoder_hidden_states": np.concatenate([row.features for row in rows]),
            "text_embeds": np.concatenate([row.pooled for row in rows]),
            "time_ids": np.concatenate(ids),
        }
        if embedding is not None:
            inputs["timestep_cond"] = guidance_embedding(job.guidance, embedding)
        return Conditioning(inputs, len(rows))

    async def _negative(self, words: Words, like: Prompt) -> Prompt:
        if words.negative is None and self.facts.zero_negative:
            return Prompt(np.zeros_like(like.features), np.zeros_like(like.pooled))
        negative = words.negative or ""
        return await self._prompt(negative, words.negative_2 or negative)

    async def _prompt(self, *texts: str) -> Prompt:
        """The texts through the encoders; the last ones are kept, as people try a prompt many times over."""
        if texts not in self._prompts:
            self._prompts[texts] = await self._encode(*texts)
            if len(self._prompts) > PROMPTS_KEPT:
                del self._prompts[next(iter(self._prompts))]
        return self._prompts[texts]

    async def _encode(self, *texts: str) -> Prompt:
        """Each encoder reads its text; a refiner's one encoder reads the first."""
        features, pooled = [], None
        for encoder, text in zip(self.networks.encoders, texts, strict=False):
            feature, pool = await encoder(self.lane, text)
            features.append(feature)
            pooled = pool if pool is not None else pooled
        assert pooled is not None, "the last text encoder has the pooled output"
        return Prompt(np.concatenate(features, axis=-1), pooled)

    async def read(self, job: Job) -> Encoded | None:
        """The job's picture and mask through the VAE encoder; None for a job that starts from noise."""
        if job.source is None:
            return None
        planes = pixels.planes_from_picture(job.source.picture)
        picture = await self._moments(planes)
        mask = job.source.mask
        if mask is None and self.facts.kind == "inpaint":
            mask = np.full(job.size, 255, np.uint8)
        if mask is None:
            return Encoded(picture, None, None)
        weights = pixels.weights_from_mask(mask, self.facts.latents.factor)
        if self.facts.kind != "inpaint":
            return Encoded(picture, None, weights)
        return Encoded(picture, await self._moments(np.where(mask < 128, planes, np.float32(0))), weights)

    async def _moments(self, planes: Array) -> Moments:
        outputs = await self.lane.run(self.networks.vae_encoder, {"sample": planes})
        if "latent_parameters" not in outputs:
            return Moments(self._scaled(outputs["latent_sample"]), None)
        mean, log_variance = np.split(outputs["latent_parameters"], 2, axis=1)
        std = np.exp(np.float32(0.5) * np.clip(log_variance, -30, 20))
        latents = self.facts.latents
        spread = np.float32(latents.scaling) / (_channels(latents.std) if latents.std else np.float32(1))
        return Moments(self._scaled(mean), spread * std)

    def _scaled(self, raw: Array) -> Array:
        latents = self.facts.latents
        if latents.mean is None or latents.std is None:
            return np.float32(latents.scaling) * raw
        return (raw - _channels(latents.mean)) * np.float32(latents.scaling) / _channels(latents.std)

    def start(self, leg: Leg, job: Job, seed: int, encoded: Encoded | None) -> tuple[State, Canvas | None]:
        """The state before the first step of the picture that `seed` gives."""
        latents = self.facts.latents
        if encoded is None:
            return start.from_noise(leg, seed, start.latent_shape(job.size, latents.channels, latents.factor)), None
        return start.from_picture(leg, job, seed, encoded)

    async def denoise(
        self, leg: Leg, job: Job, seed: int, state: State, conditioning: Conditioning, canvas: Canvas | None
    ) -> AsyncGenerator[Step, None]:
        """The leg's steps, from `state` on, each as it is done."""
        # Of two models on one job, one may look at the masked picture and the other need it blended in.
        extra, blended = (canvas.extra, None) if canvas and self.facts.kind == "inpaint" else (None, canvas)
        while state.step < leg.last:
            began = time.perf_counter()
            output = await self._predict(leg, state, conditioning, extra)
            state, denoised = advance(leg, job, seed, state, output, blended)
            if not np.isfinite(state.latents).all():
                raise InferenceFailed(self.networks.unet.name)  # a black picture would say that all is well
            yield Step(state, denoised, time.perf_counter() - began)

    async def _predict(self, leg: Leg, state: State, conditioning: Conditioning, extra: Array | None) -> Array:
        """The UNet's output (rows, channels, h, w) for the next step of `state`."""
        sample = state.latents * np.float32(leg.schedule.input_scale(state.step))
        if extra is not None:
            sample = np.concatenate([sample, extra], axis=1)
        inputs = {
            "sample": np.repeat(sample, conditioning.rows, axis=0),
            "timestep": np.full(conditioning.rows, leg.schedule.timesteps[state.step]),
            **conditioning.inputs,
        }
        (output,) = (await self.lane.run(self.networks.unet, inputs)).values()
        return output

    async def decode(self, latents: Array) -> Pixels:
        """Latents to a picture (height, width, 3)."""
        space = self.facts.latents
        raw = latents / np.float32(space.scaling)
        if space.mean is not None and space.std is not None:
            raw = latents * _channels(space.std) / np.float32(space.scaling) + _channels(space.mean)
        return await self._picture(self.networks.vae_decoder, raw, Rank.STEP)

    async def preview(self, denoised: Array, tiny: bool | None) -> Pixels:
        """A cheap picture of x0 latents: (h, w, 3) by the linear map, or full size by a tiny decoder."""
        decoder = self.networks.tiny_decoder
        if decoder is None or tiny is False:
            return pixels.preview_from_latents(denoised, *self.latent_rgb)
        return await self._picture(decoder, denoised, Rank.PREVIEW)

    async def _picture(self, decoder: Network, latents: Array, rank: Rank) -> Pixels:
        (planes,) = (await self.lane.run(decoder, {decoder.input: latents}, rank)).values()
        if not np.isfinite(planes).all():
            raise InferenceFailed(decoder.name)
        return pixels.picture_from_planes(planes)


def advance(leg: Leg, job: Job, seed: int, state: State, output: Array, canvas: Canvas | None) -> tuple[State, Array]:
    """One step as a function: a state and the UNet's output give the next state and x0."""
    schedule, i, position = leg.schedule, state.step, state.position
    noise = None
    if schedule.draws(i):
        noise, position = draw(seed, position, state.latents.shape)
    latents, denoised = pixels.advance(
        state.latents,
        output,
        guidance=job.guidance,
        rescale=job.rescale,
        update=schedule.update(i, state.previous is None),
        previous=state.previous,
        noise=noise,
    )
    after = State(i + 1, latents, denoised, position)
    if canvas is None or canvas.weights is None:
        return after, denoised
    # Outside the mask, the picture as it was: with the next step's noise on it, or clean in what is shown.
    return after._replace(latents=_kept(latents, canvas, *schedule.noising(i + 1))), _kept(denoised, canvas, 1.0, 0.0)


def _kept(latents: Array, canvas: Canvas, original: float, noise: float) -> Array:
    assert canvas.weights is not None
    return pixels.blend(
        latents, canvas.weights, canvas.original, canvas.noise, original_scale=original, noise_scale=noise
    )


def _channels(values: tuple[float, ...]) -> Array:
    return np.array(values, np.float32).reshape(1, -1, 1, 1)
