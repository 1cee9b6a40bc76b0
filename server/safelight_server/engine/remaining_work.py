"""How many seconds of work a job has left, by the step times that its lanes have observed; the policy goes by this."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.diffusion.plan import Plan, Segment, is_guided, refreshes
from safelight_server.diffusion.state import latent_shape
from safelight_server.jobs import Job
from safelight_server.lanes.network import Shape
from safelight_server.lanes.step_times import StepTimes


class Inference(NamedTuple):
    """One of those to come: a network on an input of a shape, and the step times of the lane that will run it."""

    step_times: StepTimes
    network: str
    shape: Shape


class RemainingWork:
    """The inferences of each image of a job, in order: the steps of all its segments, then the decoding."""

    def __init__(self, plan: Plan, models: Mapping[str, Pipeline]) -> None:
        self._images = len(plan.job.seeds)
        steps = (
            _step(models[segment.model], plan.job, segment, step)
            for segment in plan.segments
            for step in range(segment.first, segment.last)
        )
        self._inferences = (*steps, _decoding(models[plan.models[-1]], plan.job))

    @property
    def is_known(self) -> bool:
        """Whether all of its inferences were seen at their own shapes: otherwise their seconds are a guess."""
        return all(step_times.knows(network, shape) for step_times, network, shape in set(self._inferences))

    def seconds(self, index: int, done: int, together: int = 1) -> float:
        """Of work, when image `index` and the next ones, `together` in all, have `done` of their steps, and no later
        image is begun."""
        later = self._images - index - together
        ahead = Counter({inference: together * n for inference, n in Counter(self._inferences[done:]).items()})
        if later:
            ahead += Counter({inference: later * n for inference, n in Counter(self._inferences).items()})
        return sum(times * step_times.seconds(network, shape) for (step_times, network, shape), times in ahead.items())


def _step(model: Pipeline, job: Job, segment: Segment, step: int) -> Inference:
    networks, space = model.networks, model.config.latents
    whole = refreshes(job, segment, step)
    network = networks.unet if whole or networks.shallow_unet is None else networks.shallow_unet
    rows = 1 + (model.conditioner.guides(job) and is_guided(job, segment, step))
    _, *row = latent_shape(job.size, space.channels, space.factor)
    return Inference(model.lane.step_times, network.name, (rows, *row))


def _decoding(model: Pipeline, job: Job) -> Inference:
    networks, space = model.networks, model.config.latents
    decoder = networks.tiny_decoder if job.acceleration.tiny and networks.tiny_decoder else networks.vae_decoder
    return Inference(model.lane.step_times, decoder.name, latent_shape(job.size, space.channels, space.factor))
