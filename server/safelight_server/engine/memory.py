"""What memory a job takes: of each network that draws it, the largest run, by what such runs were seen to take."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.diffusion.plan import Plan
from safelight_server.diffusion.state import latent_shape
from safelight_server.errors import MemoryShort
from safelight_server.lanes.free_memory import unreserved
from safelight_server.lanes.network import Network
from safelight_server.lanes.room import with_spare

# Bytes for each pixel that a VAE takes for its largest layers, f32: 2 x 256 channels at half of the size, and 3 x 128
# at the full one.
VAE_BYTES = 4 * (2 * 256 // 4 + 3 * 128)
# For each number of its input, that a UNet takes: what it keeps for the way up, and its largest layers.
UNET_BYTES = 2500


class Run(NamedTuple):
    """The largest inference of a network in a job; `guess`: its bytes, where none was seen yet."""

    network: Network
    shape: tuple[int, ...]
    guess: int

    @property
    def more(self) -> int:
        """Bytes that it takes beside what the network keeps."""
        seen = self.network.buffers.more(self.shape)
        return self.guess if seen is None else seen

    @property
    def whole(self) -> int:
        """Bytes that it takes if the network keeps nothing."""
        seen = self.network.buffers.whole(self.shape)
        return self.guess if seen is None else seen


def runs_of(models: Mapping[str, Pipeline], plan: Plan) -> list[Run]:
    """Those of a job that take most of its memory: the steps of each model, and the VAE."""
    job, pipelines = plan.job, [models[name] for name in plan.models]
    networks, space = pipelines[-1].networks, pipelines[-1].config.latents
    decoder = networks.tiny_decoder if job.acceleration.tiny and networks.tiny_decoder else networks.vae_decoder
    guess = math.prod(job.size) * VAE_BYTES
    runs = [_steps(model, plan) for model in pipelines]
    runs.append(Run(decoder, latent_shape(job.size, space.channels, space.factor), guess))
    if job.source is not None:
        runs.append(Run(pipelines[0].networks.vae_encoder, (1, 3, *job.size), guess))
    return runs


def _steps(model: Pipeline, plan: Plan) -> Run:
    space, rows = model.config.latents, 1 + model.conditioner.guides(plan.job)
    _, channels, *edges = latent_shape(plan.job.size, space.channels, space.factor)
    shape = (rows, 2 * channels + 1 if model.config.kind == "inpaint" else channels, *edges)
    return Run(model.networks.unet, shape, UNET_BYTES * math.prod(shape))


def check(models: Mapping[str, Pipeline], plan: Plan, available: Callable[[], int] = unreserved) -> None:
    """Raises MemoryShort for a job whose largest run would find no room even if no network kept anything."""
    runs = [run for run in runs_of(models, plan) if run.more]
    if not runs:
        return  # its networks keep enough
    needed = with_spare(max(run.whole for run in runs))
    free = available() + sum(network.buffers.kept for network in _networks(models))
    if needed > free:
        raise MemoryShort(needed, free)


def taken_by(models: Mapping[str, Pipeline], plans: Iterable[Plan]) -> int:
    """Bytes that jobs at work may have taken and that no network keeps yet, at most: they are free after them."""
    return sum(max((run.whole for run in runs_of(models, plan)), default=0) for plan in plans)


def peak_of(models: Mapping[str, Pipeline], plan: Plan) -> int:
    """Bytes that a job takes beside what is there already. What was not seen yet is guessed."""
    return sum(run.more for run in runs_of(models, plan))


def _networks(models: Mapping[str, Pipeline]) -> Iterator[Network]:
    """Each once: models may share some."""
    yield from {id(network): network for model in models.values() for network in model.networks.all()}.values()
