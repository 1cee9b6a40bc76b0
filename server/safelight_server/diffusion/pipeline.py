"""One model's networks put to work: encode, denoise, decode. The only place with the graphs' input and output names."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from safelight_server.arrays import Array, Pixels
from safelight_server.errors import InferenceFailed
from safelight_server.jobs import Job
from safelight_server.lanes.lane import Lane
from safelight_server.lanes.network import Network, Tensor
from safelight_server.lanes.ticket import ALONE, Ticket
from safelight_server.model_folder.model_config import ModelConfig
from safelight_server.models.deepcache import FEATURE
from safelight_server.pixels import kernels

from . import acceleration
from .conditioning import Conditioner, Conditioning
from .model_info import ModelInfo
from .plan import Segment
from .state import Canvas, Encoded, Moments, State, from_noise, from_picture, latent_shape
from .step import advance
from .text_encoder import Encoder


class Networks(NamedTuple):
    encoders: tuple[Encoder, ...]
    unet: Network
    shallow_unet: Network | None  # its outermost layers, on the FEATURE that the whole one gave
    vae_encoder: Network
    vae_decoder: Network
    tiny_decoder: Network | None

    def all(self) -> list[Network]:
        rest = (self.unet, self.shallow_unet, self.vae_encoder, self.vae_decoder, self.tiny_decoder)
        return [encoder.network for encoder in self.encoders] + [network for network in rest if network is not None]


class Step(NamedTuple):
    """A denoising step, done: the state after it, the clean picture as guessed (x0 latents), and its seconds."""

    state: State
    output: Array  # the UNet's (rows, channels, h, w)
    denoised: Array
    seconds: float


class Pipeline:
    """A served model. Every await of a method is at most one inference on the model's lane."""

    def __init__(self, info: ModelInfo, lane: Lane, networks: Networks, latent_rgb: tuple[Array, Array]) -> None:
        self.info = info
        self.lane = lane
        self.networks = networks
        self.latent_rgb = latent_rgb
        self.conditioner = Conditioner(info.config, lane, networks.encoders)

    @property
    def config(self) -> ModelConfig:
        return self.info.config

    @property
    def ready(self) -> bool:
        return not any(network.broken for network in self.networks.all())

    async def heal(self) -> None:
        """Compiles anew what has failed."""
        for network in self.networks.all():
            if network.broken:
                await asyncio.to_thread(network.load)

    async def read(self, job: Job, ticket: Ticket = ALONE) -> Encoded | None:
        """The job's picture and mask through the VAE encoder; None for a job that starts from noise."""
        if job.source is None:
            return None
        planes = kernels.planes_from_picture(job.source.picture)
        picture = await self._moments(planes, ticket)
        mask = job.source.mask
        if mask is None and self.config.kind == "inpaint":
            mask = np.full(job.size, 255, np.uint8)
        if mask is None:
            return Encoded(picture, None, None)
        weights = kernels.weights_from_mask(mask, self.config.latents.factor)
        if self.config.kind != "inpaint":
            return Encoded(picture, None, weights)
        masked = np.where(mask < 128, planes, np.float32(0))
        return Encoded(picture, await self._moments(masked, ticket), weights)

    async def _moments(self, planes: Array, ticket: Ticket) -> Moments:
        outputs = await self.lane.run(self.networks.vae_encoder, {"sample": planes}, ticket)
        if "latent_parameters" not in outputs:
            return Moments(self._scaled(outputs["latent_sample"]), None)
        mean, log_variance = np.split(outputs["latent_parameters"], 2, axis=1)
        std = np.exp(np.float32(0.5) * np.clip(log_variance, -30, 20))
        latents = self.config.latents
        spread = np.float32(latents.scaling) / (_channels(latents.std) if latents.std else np.float32(1))
        return Moments(self._scaled(mean), spread * std)

    def _scaled(self, raw: Array) -> Array:
        latents = self.config.latents
        if latents.mean is None or latents.std is None:
            return np.float32(latents.scaling) * raw
        return (raw - _channels(latents.mean)) * np.float32(latents.scaling) / _channels(latents.std)

    def start(self, segment: Segment, job: Job, seed: int, encoded: Encoded | None) -> tuple[State, Canvas | None]:
        """The state before the first step of the picture that `seed` gives."""
        latents = self.config.latents
        if encoded is None:
            return from_noise(segment, seed, latent_shape(job.size, latents.channels, latents.factor)), None
        return from_picture(segment, job, seed, encoded)

    async def denoise(
        self,
        segment: Segment,
        job: Job,
        seed: int,
        state: State,
        conditioning: Conditioning,
        canvas: Canvas | None,
        ticket: Ticket = ALONE,
    ) -> AsyncGenerator[Step, None]:
        """The leg's steps, from `state` on, each as it is done."""
        # Of two models on one job, one may look at the masked picture and the other need it blended in.
        extra, blended = (canvas.extra, None) if canvas and self.config.kind == "inpaint" else (None, canvas)
        while state.step < segment.last:
            began = time.perf_counter()
            output, deep = await self._predict(segment, job, state, conditioning, extra, ticket)
            state, denoised = advance(segment, job, seed, state, output, blended)
            state = state._replace(deep=deep)
            if not np.isfinite(state.latents).all():
                raise InferenceFailed(self.networks.unet.name)  # a black picture would say that all is well
            yield Step(state, output, denoised, time.perf_counter() - began)

    async def _predict(
        self, segment: Segment, job: Job, state: State, conditioning: Conditioning, extra: Array | None, ticket: Ticket
    ) -> tuple[Array, Array | None]:
        """The UNet's output (rows, channels, h, w) for the next step of `state`, and what its inner layers said."""
        if conditioning.rows > 1 and not acceleration.guided(job, segment, state.step):
            conditioning = conditioning.positive
        sample = state.latents * np.float32(segment.schedule.input_scale(state.step))
        if extra is not None:
            sample = np.concatenate([sample, extra], axis=1)
        inputs = {
            "sample": np.repeat(sample, conditioning.rows, axis=0),
            "timestep": np.full(conditioning.rows, segment.schedule.timesteps[state.step]),
            **conditioning.inputs,
        }
        if state.deep is not None and not acceleration.refreshes(job, segment, state.step):
            return await self._shallow(inputs, state.deep[-conditioning.rows :], ticket), state.deep
        outputs = await self.lane.run(self.networks.unet, inputs, ticket)
        deep = outputs.pop(FEATURE, None)
        (output,) = outputs.values()
        return output, deep if job.acceleration.deep_cache > 1 else None

    async def _shallow(self, inputs: Mapping[str, Tensor], deep: Array, ticket: Ticket) -> Array:
        network = self.networks.shallow_unet
        assert network is not None, "the door lets no job in that needs what the model has not"
        needed = {name: value for name, value in inputs.items() if name in network.shapes}
        (output,) = (await self.lane.run(network, {**needed, FEATURE: deep}, ticket)).values()
        return output

    async def decode(self, latents: Array, ticket: Ticket = ALONE, *, tiny: bool = False) -> Pixels:
        """Latents to a picture (height, width, 3), by the VAE or the tiny decoder."""
        if tiny:
            return await self._tiny(latents, ticket)
        space = self.config.latents
        raw = latents / np.float32(space.scaling)
        if space.mean is not None and space.std is not None:
            raw = latents * _channels(space.std) / np.float32(space.scaling) + _channels(space.mean)
        return await self._picture(self.networks.vae_decoder, raw, ticket)

    def expect_previews(self, tickets: Sequence[Ticket]) -> None:
        """The lane waits a moment for these, so that a preview comes before the next step and not after it."""
        if tickets and self.networks.tiny_decoder is not None:
            self.lane.expect(tickets)

    async def preview(
        self, denoised: Array, tiny: bool | None, ticket: Ticket = ALONE, max_edge: int | None = None
    ) -> Pixels:
        """A cheap picture of x0 latents: (h, w, 3) by the linear map, or by a tiny decoder, `max_edge` or larger."""
        decoder = self.networks.tiny_decoder
        if decoder is None or tiny is False:
            ticket.leave()
            return kernels.preview_from_latents(denoised, *self.latent_rgb)
        small = halved(denoised, (max_edge or 2**16) // self.config.latents.factor)
        ticket.remaining = self.lane.step_times.seconds(decoder.name, small.shape)
        try:
            return await self._tiny(small, ticket)
        finally:
            ticket.leave()

    async def _tiny(self, latents: Array, ticket: Ticket) -> Pixels:
        decoder = self.networks.tiny_decoder
        assert decoder is not None, "the door lets no job in that needs what the model has not"
        return await self._picture(decoder, latents, ticket)

    async def _picture(self, decoder: Network, latents: Array, ticket: Ticket) -> Pixels:
        (planes,) = (await self.lane.run(decoder, {decoder.input: latents}, ticket)).values()
        if not np.isfinite(planes).all():
            raise InferenceFailed(decoder.name)
        return kernels.picture_from_planes(planes)


def halved(latents: Array, least: int) -> Array:
    """Latents (1, channels, h, w), halved by means of 2 x 2 for as long as the longer edge stays `least` or more.

    A preview is of a few hundred pixels: decoded at its own size it costs a quarter, or a sixteenth.
    """
    *_, h, w = latents.shape
    if h % 2 or w % 2 or max(h, w) // 2 < least:
        return latents
    pairs = latents.reshape(*latents.shape[:2], h // 2, 2, w // 2, 2)
    return halved(pairs.mean(axis=(3, 5)), least)


def _channels(values: tuple[float, ...]) -> Array:
    return np.array(values, np.float32).reshape(1, -1, 1, 1)
