"""Draws the same pictures with two models, in turns on one lane, and measures their time and their difference."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import NamedTuple

from safelight.v1 import images_pb2 as pb

from safelight_server.arrays import Hw, Pixels
from safelight_server.contract.requests import plan_from
from safelight_server.diffusion.conditioning import Conditioning
from safelight_server.diffusion.model_info import ModelInfo
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.diffusion.plan import Plan, Trajectory
from safelight_server.diffusion.state import State
from safelight_server.errors import LoadError
from safelight_server.jobs import Job
from safelight_server.lanes.network import Tensor
from safelight_server.model_folder.model_config import ModelConfig
from safelight_server.models.device import Device
from safelight_server.models.loader import OnProgress
from safelight_server.models.registry import Registry

from .quality import psnr, relative_error, ssim

MAX_EDGE = 4096

# What latents and the UNet's answers must have in common for their difference to mean something.
SHARED: dict[str, Callable[[ModelConfig], object]] = {
    "latent channels": lambda config: config.latents.channels,
    "VAE factor": lambda config: config.latents.factor,
    "VAE scaling": lambda config: (config.latents.scaling, config.latents.mean, config.latents.std),
    "prediction_type": lambda config: config.scheduler_config.get("prediction_type", "epsilon"),
}


class Asked(NamedTuple):
    """What to draw; None is A's own default."""

    prompts: Sequence[str]
    size: Hw | None = None
    steps: int | None = None
    guidance: float | None = None
    seeds: int = 1  # pictures of each prompt
    repeats: int = 1  # drawings of each picture


class Seconds(NamedTuple):
    """One drawing's time by stage; `picture` is all of it, the encoding of its prompt as well."""

    encode: float
    steps: tuple[float, ...]
    decode: float
    picture: float


class Pair(NamedTuple):
    """One picture as A and B drew it, and B's distance from A."""

    prompt: str
    seed: int
    a: Pixels
    b: Pixels
    psnr: float
    ssim: float
    latents: tuple[float, ...]  # relative error of B's latents after each step, B drawing by itself
    one_step: tuple[float, ...]  # relative error of B's UNet output on A's latents at each step


class Comparison(NamedTuple):
    infos: tuple[ModelInfo, ModelInfo]
    job: Job  # the settings, as A drew them
    asked: Asked
    pairs: list[Pair]
    seconds: tuple[list[Seconds], list[Seconds]]  # of A and of B, in the order of drawing


class Painter(NamedTuple):
    """A model that is ready to draw one prompt."""

    model: Pipeline
    plan: Plan
    conditioning: Conditioning
    seconds: float  # of the encoding

    def trajectory(self, seed: int) -> Trajectory:
        return Trajectory(self.plan.job, self.plan.segments[0], seed)


class Drawn(NamedTuple):
    picture: Pixels
    states: list[State]  # before the first step and after each
    answers: list[Tensor]  # the UNet's, at each step
    seconds: Seconds


def check(a: ModelConfig, b: ModelConfig) -> None:
    """Raises LoadError for two models whose pictures, latents and steps cannot be held against each other."""
    for config in (a, b):
        if config.kind != "base":
            raise LoadError(
                f"{config.folder}: must be a base model, which starts from noise, not of kind {config.kind}"
            )
    for name, of in SHARED.items():
        if of(a) != of(b):
            raise LoadError(f"{b.folder}: {name} must be that of {a.folder}, {of(a)}, not {of(b)}")


async def load(a: ModelConfig, b: ModelConfig, device: Device, on_progress: OnProgress) -> tuple[Pipeline, Pipeline]:
    """Both models on one lane, B with A's defaults and A's schedule, so that they take the same steps."""
    registry = Registry(max_edge=MAX_EDGE)
    same = replace(
        b,
        scheduler_config=a.scheduler_config,
        scheduler=a.scheduler,
        native_edge=a.native_edge,
        steps=a.steps,
        guidance=a.guidance,
    )
    return (
        await registry.load("A", a, device, on_progress=on_progress),
        await registry.load("B", same, device, on_progress=on_progress),
    )


def inferences(asked: Asked, steps: int) -> int:
    """How many times `draw` calls `on_step`; `steps` is A's default."""
    return 2 + len(asked.prompts) * asked.seeds * (2 * asked.repeats + 1) * (asked.steps or steps)


async def draw(both: tuple[Pipeline, Pipeline], asked: Asked, on_step: Callable[[], object]) -> Comparison:
    """Every picture by A, then by B, and so on. Raises InvalidRequest for settings that either model refuses."""
    for model in both:
        # One step at the full size: the first inference of a shape is slow. Its prompt is none of those measured.
        await paint(await prepare(model, asked._replace(steps=1), "warm-up"), 0, on_step)
    pairs: list[Pair] = []
    seconds: tuple[list[Seconds], list[Seconds]] = ([], [])
    for place, prompt in enumerate(asked.prompts):
        a, b = [await prepare(model, asked, prompt) for model in both]
        for seed in range(place * asked.seeds, (place + 1) * asked.seeds):
            for _ in range(asked.repeats):
                by_a, by_b = await paint(a, seed, on_step), await paint(b, seed, on_step)
                seconds[0].append(by_a.seconds)
                seconds[1].append(by_b.seconds)
            pairs.append(_measure(prompt, seed, by_a, by_b, await _answers(b, seed, by_a.states[:-1], on_step)))
    return Comparison((both[0].info, both[1].info), a.plan.job, asked, pairs, seconds)


async def prepare(model: Pipeline, asked: Asked, prompt: str) -> Painter:
    """Has a model read a prompt."""
    height, width = asked.size or (None, None)
    request = pb.GenerateRequest(
        prompt=prompt, width=width, height=height, steps=asked.steps, guidance_scale=asked.guidance, seed=0
    )
    plan = plan_from(request, {model.info.name: model.info}, "compare")
    began = time.perf_counter()
    conditioning = await model.conditioner.encode(plan.job, refines=False)
    return Painter(model, plan, conditioning, time.perf_counter() - began)


async def paint(painter: Painter, seed: int, on_step: Callable[[], object]) -> Drawn:
    """Draws one picture."""
    began = time.perf_counter()
    model, trajectory = painter.model, painter.trajectory(seed)
    states, answers, seconds = [model.start(trajectory, None)[0]], [], []
    async with aclosing(model.denoise(trajectory, states[0], painter.conditioning, None)) as steps:
        async for step in steps:
            states.append(step.state)
            answers.append(step.output)
            seconds.append(step.seconds)
            on_step()
    denoised = time.perf_counter()
    picture = await model.decode(states[-1].latents)
    done = time.perf_counter()
    whole = painter.seconds + done - began
    return Drawn(picture, states, answers, Seconds(painter.seconds, tuple(seconds), done - denoised, whole))


async def _answers(painter: Painter, seed: int, states: Sequence[State], on_step: Callable[[], object]) -> list[Tensor]:
    """What the painter's UNet says to each of another's states: one step from it, no further."""
    answers = []
    for state in states:
        denoising = painter.model.denoise(painter.trajectory(seed), state, painter.conditioning, None)
        async with aclosing(denoising) as steps:
            answers.append((await anext(steps)).output)
        on_step()
    return answers


def _measure(prompt: str, seed: int, a: Drawn, b: Drawn, answers: Sequence[Tensor]) -> Pair:
    latents = tuple(relative_error(x.latents, y.latents) for x, y in zip(a.states[1:], b.states[1:], strict=True))
    one_step = tuple(relative_error(x, y) for x, y in zip(a.answers, answers, strict=True))
    x, y = a.picture, b.picture
    return Pair(prompt, seed, x, y, psnr(x, y), ssim(x, y), latents, one_step)
