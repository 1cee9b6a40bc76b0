"""The pictures that INT8 is fitted to and judged by: their prompts, sizes, strengths, seeds, and the steps to keep."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from safelight_server.arrays import Hw, Pixels
from safelight_server.diffusion.model_info import Limits
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.diffusion.plan import Trajectory, make_plan
from safelight_server.errors import LoadError
from safelight_server.jobs import Job, Prompts, Scheduler, Source
from safelight_server.model_folder.model_config import ModelConfig

PROMPTS = Path(__file__).with_name("prompts.txt")
MAX_EDGE = 4096
LARGEST = 512  # pixels: the size hardly changes the ranges of the inputs, but much the time for a picture
SHAPES = ((1, 1), (3 / 4, 1), (3 / 4, 1 / 2))  # height and width, as shares of the largest edge
KEPT = 9  # steps of one picture, at most: one more picture tells more than some more of its steps

# The strengths of a model's pictures, which take turns; None: from noise. Only the first strength runs all steps.
STRENGTHS: dict[str, tuple[float | None, ...]] = {"base": (None, None, None, 0.6), "refiner": (0.6, 0.3)}

# Pictures to judge by are none of those that INT8 was fitted to: other seeds, and the prompts from the last one on.
FIRST_JUDGED, JUDGED_STEPS = 10_000, 24  # a seed; how many steps they may have together, at two pictures or more


class Picture(NamedTuple):
    """An image to draw, and those of its steps whose inputs are kept."""

    trajectory: Trajectory
    kept: frozenset[int]


def read_prompts(file: str | None) -> list[str]:
    """The prompts of a file, one a line; None: of the one that ships."""
    path = Path(file) if file else PROMPTS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LoadError(f"prompts must be a text file in UTF-8, not {path}: {error}") from None
    prompts = [line.strip() for line in lines if line.strip()]
    if not prompts:
        raise LoadError(f"prompts must have one prompt a line, and {path} has none")
    return prompts


def fitting_sizes(ordered: Sequence[int | Sequence[int]] | None, limits: Limits, config: ModelConfig) -> list[Hw]:
    """The sizes of an order, checked; without any, one of each of SHAPES, at most the model's native size."""
    step, least = limits.edge_multiple, limits.min_edge
    if ordered is None:
        edge = min(config.native_edge, LARGEST)
        fitted = ([max(int(edge * part) // step * step, least) for part in shape] for shape in SHAPES)
        return [(height, width) for height, width in fitted]
    sizes = [(size, size) if isinstance(size, int) else (size[0], size[1]) for size in ordered]
    for edge in (edge for size in sizes for edge in size):
        if edge % step or not least <= edge <= limits.max_edge:
            raise LoadError(f"sizes must be multiples of {step} from {least} to {limits.max_edge}, not {edge}")
    return sizes


def choose(config: ModelConfig, sizes: Sequence[Hw], prompts: Sequence[str], count: int) -> list[Picture]:
    """Enough pictures for `count` samples: of every step, and many of each size, guidance and strength.

    Raises LoadError where `count` is too small for every step.
    """
    pictures: list[Picture] = []
    kept: list[int] = []
    stride, strengths = math.ceil(config.steps / KEPT), STRENGTHS[config.kind]
    while len(kept) < max(count, 1):
        place = len(pictures)
        strength = strengths[0 if place < stride else place % len(strengths)]  # the first until every step is kept
        size = sizes[(place + place // len(sizes)) % len(sizes)]  # shifted, or each step would see one size only
        job = job_of(config, prompts[place % len(prompts)], size, strength, place)
        (segment,) = make_plan(job, {job.model: config}).segments
        steps = [step for step in range(segment.first, segment.last) if step % stride == place % stride]
        pictures.append(Picture(Trajectory(job, segment, place), frozenset(steps[: count - len(kept)])))
        kept += pictures[-1].kept
    whole = pictures[0].trajectory.segment
    all_steps = range(whole.first, whole.last)
    if missing := set(all_steps) - set(kept):
        raise LoadError(f"samples must be at least {len(kept) + len(missing)}, for every step to be seen, not {count}")
    return pictures


def job_of(config: ModelConfig, prompt: str, size: Hw, strength: float | None, seed: int) -> Job:
    source = None if strength is None else Source(clouds(size, seed), None, strength)
    guidance = min(config.guidance, 1.0) if seed % 5 == 2 else config.guidance
    prompts, scheduler = Prompts(prompt, prompt), Scheduler(config.scheduler)
    return Job(
        id="calibration",
        model="model",
        prompts=prompts,
        size=size,
        steps=config.steps,
        guidance=guidance,
        rescale=0.0,
        seeds=(seed,),
        scheduler=scheduler,
        source=source,
    )


def clouds(size: Hw, seed: int) -> Pixels:
    """A picture (height, width, 3) to start from: coloured noise, at each scale about as strong as in photographs."""
    random = np.random.default_rng(seed)
    height, width = size
    picture = np.zeros((height, width, 3))
    for octave in range(1, 7):
        grain = random.normal(0, 0.5**octave, (3, 2**octave, 2**octave)).astype(np.float32)
        for place, band in enumerate(grain):
            picture[..., place] += np.asarray(Image.fromarray(band).resize((width, height), Image.Resampling.BICUBIC))
    return (127.5 + 127 * np.tanh(picture)).astype(np.uint8)


def judged(config: ModelConfig, size: Hw, prompts: Sequence[str]) -> list[Trajectory]:
    """Two to six pictures of one size, with the model's own steps and guidance, to be drawn before INT8 and with it."""
    count = max(2, min(6, JUDGED_STEPS // config.steps))
    strength, found = STRENGTHS[config.kind][0], []
    for number in range(count):
        job = job_of(config, prompts[-1 - number % len(prompts)], size, strength, FIRST_JUDGED + number)
        (segment,) = make_plan(job, {job.model: config}).segments
        found.append(Trajectory(job, segment, job.seeds[0]))
    return found


async def draw(model: Pipeline, trajectory: Trajectory, on_step: Callable[[], None]) -> Pixels:
    """The whole picture."""
    job = trajectory.job
    conditioning = await model.conditioner.encode(job, refines=job.source is not None)
    state, canvas = model.start(trajectory, await model.read(job))
    async with aclosing(model.denoise(trajectory, state, conditioning, canvas)) as steps:
        async for step in steps:
            state = step.state
            on_step()
    return await model.decode(state.latents)
