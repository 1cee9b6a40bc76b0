"""How much work a job still is, in seconds, as its lanes have observed: what the policy goes by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from safelight_server.diffusion import acceleration
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.diffusion.plan import Segment
from safelight_server.diffusion.state import latent_shape
from safelight_server.jobs import Job
from safelight_server.lanes.step_times import Shape, StepTimes


class Inference(NamedTuple):
    """One of those to come."""

    step_times: StepTimes  # of the lane that will run it
    network: str
    shape: Shape


class RemainingWork:
    """The inferences of each picture of a job, in order: the steps of all legs, then the decoding."""

    def __init__(self, job: Job, segments: Sequence[Segment], models: Mapping[str, Pipeline]) -> None:
        self._pictures = len(job.seeds)
        steps = chain.from_iterable(
            (_step(models[segment.model], job, segment, step) for step in range(segment.first, segment.last))
            for segment in segments
        )
        self._inferences = (*steps, _decoding(models[segments[-1].model], job))

    def left(self, index: int, done: int) -> float:
        """Seconds of work, when picture `index` has `done` of its steps and none of the next ones is begun."""
        later = self._pictures - index - 1
        ahead = Counter(self._inferences[done:])
        if later:
            ahead += Counter({inference: later * n for inference, n in Counter(self._inferences).items()})
        return sum(times * step_times.seconds(network, shape) for (step_times, network, shape), times in ahead.items())


def _step(model: Pipeline, job: Job, segment: Segment, step: int) -> Inference:
    networks, latents = model.networks, model.config.latents
    whole = acceleration.refreshes(job, segment, step)
    network = networks.unet if whole or networks.shallow_unet is None else networks.shallow_unet
    rows = 1 + (model.conditioner.guides(job) and acceleration.guided(job, segment, step))
    _, *row = latent_shape(job.size, latents.channels, latents.factor)
    return Inference(model.lane.step_times, network.name, (rows, *row))


def _decoding(model: Pipeline, job: Job) -> Inference:
    networks, latents = model.networks, model.config.latents
    decoder = networks.tiny_decoder if job.acceleration.tiny and networks.tiny_decoder else networks.vae_decoder
    return Inference(model.lane.step_times, decoder.name, latent_shape(job.size, latents.channels, latents.factor))
