"""One model's networks put to work: encode, denoise, decode. The only place with the graphs' input and output names."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from typing import NamedTuple

import numpy as np

from safelight_server.arrays import Array, Pixels
from safelight_server.errors import InferenceFailed
from safelight_server.jobs import Job
from safelight_server.lanes.batching import signature
from safelight_server.lanes.lane import Lane
from safelight_server.lanes.network import Network, Tensor
from safelight_server.lanes.ticket import Ticket
from safelight_server.model_folder.model_config import ModelConfig
from safelight_server.pixels import kernels

from .conditioning import Conditioner, Conditioning
from .latent_space import by_channel, halve, to_unet, to_vae
from .model_info import ModelInfo
from .networks import FEATURE, Networks
from .plan import Trajectory
from .state import Canvas, Encoded, Moments, State, from_noise, from_picture, latent_shape
from .step import advance


class Step(NamedTuple):
    """A denoising step that is done."""

    state: State  # after it
    output: Array  # the UNet's (rows, channels, h, w)
    denoised: Array  # x0, the clean picture as it is guessed now: (1, channels, h, w)
    seconds: float


class Pipeline:
    """A model that is loaded. Every await of a method is at most one inference on the model's lane.

    `latent_rgb` is the linear preview's map, (channels, 3) and (3,). Inferences run under the `ticket` of a job, or
    without one, as a tool's own. All methods raise InferenceFailed.
    """

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
        """Whether none of its networks has failed, and its device answers."""
        return not self.lane.stuck and not any(network.broken for network in self.networks.all())

    async def read(self, job: Job, ticket: Ticket | None = None) -> Encoded | None:
        """The job's picture and mask through the VAE's encoder; None for a job that starts from noise."""
        if job.source is None:
            return None
        planes = kernels.planes_from_picture(job.source.picture)
        picture = await self._moments(planes, ticket)
        mask, sees_mask = job.source.mask, self.config.kind == "inpaint"
        if mask is None and sees_mask:
            mask = np.full(job.size, 255, np.uint8)
        if mask is None:
            return Encoded(picture, None, None)
        weights = kernels.weights_from_mask(mask, self.config.latents.factor)
        if not sees_mask:
            return Encoded(picture, None, weights)
        masked = np.where(mask < 128, planes, np.float32(0))
        return Encoded(picture, await self._moments(masked, ticket), weights)

    async def _moments(self, planes: Array, ticket: Ticket | None) -> Moments:
        outputs = await self.lane.run(self.networks.vae_encoder, {"sample": planes}, ticket)
        space = self.config.latents
        if "latent_parameters" not in outputs:
            return Moments(to_unet(outputs["latent_sample"], space), None)
        mean, log_variance = np.split(outputs["latent_parameters"], 2, axis=1)
        std = np.exp(np.float32(0.5) * np.clip(log_variance, -30, 20))
        spread = np.float32(space.scaling) / (by_channel(space.std) if space.std else np.float32(1))
        return Moments(to_unet(mean, space), spread * std)

    def start(self, trajectory: Trajectory, encoded: Encoded | None) -> tuple[State, Canvas | None]:
        """The state before the trajectory's first step; `encoded` is what `read` gave."""
        space = self.config.latents
        if encoded is not None:
            return from_picture(trajectory, encoded)
        return from_noise(trajectory, latent_shape(trajectory.job.size, space.channels, space.factor)), None

    async def denoise(
        self,
        trajectory: Trajectory,
        state: State,
        conditioning: Conditioning,
        canvas: Canvas | None,
        ticket: Ticket | None = None,
    ) -> AsyncGenerator[Step, None]:
        """The trajectory's steps, from `state` on, each as it is done."""
        # Of two models on one job, one may look at the masked picture and the other need it blended in.
        extra, blended = (canvas.extra, None) if canvas and self.config.kind == "inpaint" else (None, canvas)
        while state.step < trajectory.segment.last:
            began = time.perf_counter()
            output, deep = await self._predict(trajectory, state, conditioning, extra, ticket)
            state, denoised = advance(trajectory, state, output, blended)
            state = state._replace(deep=deep)
            if not np.isfinite(state.latents).all():
                raise InferenceFailed(self.networks.unet.name)  # a black picture would say that all is well
            yield Step(state, output, denoised, time.perf_counter() - began)

    async def _predict(
        self,
        trajectory: Trajectory,
        state: State,
        conditioning: Conditioning,
        extra: Array | None,
        ticket: Ticket | None,
    ) -> tuple[Array, Array | None]:
        """The UNet's output (rows, channels, h, w) for the next step of `state`, and what its inner layers said."""
        inputs, rows = self._inputs(trajectory, state, conditioning, extra)
        if state.deep is not None and not trajectory.refreshes(state.step):
            return await self._shallow(inputs, state.deep[-rows:], ticket), state.deep
        outputs = await self.lane.run(self.networks.unet, inputs, ticket)
        deep = outputs.pop(FEATURE, None)
        (output,) = outputs.values()
        return output, deep if trajectory.job.acceleration.deep_cache > 1 else None

    def most_rows(self, trajectory: Trajectory, state: State, conditioning: Conditioning, canvas: Canvas | None) -> int:
        """Of the largest batch that pays for steps such as the next one; 0: none does."""
        extra = canvas.extra if canvas and self.config.kind == "inpaint" else None
        inputs, _ = self._inputs(trajectory, state, conditioning, extra)
        return max(self.lane.batching.sizes(signature(self.networks.unet, inputs)), default=0)

    def _inputs(
        self, trajectory: Trajectory, state: State, conditioning: Conditioning, extra: Array | None
    ) -> tuple[dict[str, Tensor], int]:
        """Those of the UNet for the next step of `state`, and how many rows they have."""
        schedule = trajectory.segment.schedule
        if conditioning.rows > 1 and not trajectory.is_guided(state.step):
            conditioning = conditioning.positive
        sample = state.latents * np.float32(schedule.input_scale(state.step))
        if extra is not None:
            sample = np.concatenate([sample, extra], axis=1)
        inputs: dict[str, Tensor] = {
            "sample": np.repeat(sample, conditioning.rows, axis=0),
            "timestep": np.full(conditioning.rows, schedule.timesteps[state.step]),
            **conditioning.inputs,
        }
        return inputs, conditioning.rows

    async def _shallow(self, inputs: Mapping[str, Tensor], deep: Array, ticket: Ticket | None) -> Array:
        network = self.networks.shallow_unet
        assert network is not None, "the door lets no job in that needs what the model has not"
        needed = {name: value for name, value in inputs.items() if name in network.shapes}
        (output,) = (await self.lane.run(network, {**needed, FEATURE: deep}, ticket)).values()
        return output

    async def decode(self, latents: Array, ticket: Ticket | None = None, *, tiny: bool = False) -> Pixels:
        """Latents (1, channels, h, w) to a picture (height, width, 3), by the VAE or by the tiny decoder."""
        if tiny:
            return await self._tiny(latents, ticket)
        return await self._picture(self.networks.vae_decoder, to_vae(latents, self.config.latents), ticket)

    async def preview(
        self, denoised: Array, tiny: bool | None, ticket: Ticket | None = None, max_edge: int | None = None
    ) -> Pixels:
        """A cheap picture of x0 latents: by the linear map (h, w, 3), or by the tiny decoder, `max_edge` or larger.

        `tiny` None: by the tiny decoder, if the model has one.
        """
        ticket = ticket or Ticket()
        try:
            if self.networks.tiny_decoder is None or tiny is False:
                return kernels.preview_from_latents(denoised, *self.latent_rgb)
            return await self._tiny(halve(denoised, (max_edge or 2**16) // self.config.latents.factor), ticket)
        finally:
            ticket.leave()

    async def _tiny(self, latents: Array, ticket: Ticket | None) -> Pixels:
        decoder = self.networks.tiny_decoder
        assert decoder is not None, "the door lets no job in that needs what the model has not"
        return await self._picture(decoder, latents, ticket)

    async def _picture(self, decoder: Network, latents: Array, ticket: Ticket | None) -> Pixels:
        (planes,) = (await self.lane.run(decoder, {decoder.input: latents}, ticket)).values()
        if not np.isfinite(planes).all():
            raise InferenceFailed(decoder.name)
        return kernels.picture_from_planes(planes)
