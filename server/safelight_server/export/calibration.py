"""Draws pictures with a model and records the inputs of its UNet and VAE decoder: the samples that INT8 is fitted to.

`python -m safelight_server.export.calibration JSON` is a process of its own; the JSON has the fields of Order.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from safelight_server.arrays import Array, Hw, Pixels
from safelight_server.diffusion.model_info import Limits
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.diffusion.plan import Trajectory, make_plan
from safelight_server.errors import LoadError
from safelight_server.jobs import Job, Prompts, Scheduler, Source
from safelight_server.lanes.lane import Lane
from safelight_server.lanes.network import Network, Tensor
from safelight_server.lanes.ticket import Ticket
from safelight_server.model_folder import model_config
from safelight_server.model_folder.model_config import ModelConfig
from safelight_server.models.device import Device
from safelight_server.models.registry import Registry

from .work import OnProgress, main

PROMPTS = Path(__file__).with_name("prompts.txt")
MAX_EDGE = 4096
LARGEST = 512  # pixels: the size hardly changes the ranges of the inputs, but much the time for a picture
SHAPES = ((1, 1), (3 / 4, 1), (3 / 4, 1 / 2))  # height and width, as shares of the largest edge
KEPT = 9  # steps of one picture, at most: one more picture tells more than some more of its steps

# The strengths of a model's pictures, which take turns; None: from noise. Only the first strength runs all steps.
STRENGTHS: dict[str, tuple[float | None, ...]] = {"base": (None, None, None, 0.6), "refiner": (0.6, 0.3)}


@dataclass(frozen=True)
class Order:
    """Record samples of a model: unet/*.npz and vae_decoder/*.npz, each file one set of a graph's inputs."""

    folder: str  # the model
    output: str  # the folder for the samples
    prompts: str | None = None  # a file, one a line; None: the one that ships
    count: int = 100  # samples of the UNet
    sizes: Sequence[int | Sequence[int]] | None = None  # in pixels, each an edge or [height, width]; None: SHAPES
    vae: bool = False  # also of the VAE decoder, some of each picture


class Picture(NamedTuple):
    """An image to draw, and those of its steps whose inputs are kept."""

    trajectory: Trajectory
    kept: frozenset[int]


class Recorder(Lane):
    """A lane that remembers the last inputs of each network, by the network's name."""

    def __init__(self, device: str) -> None:
        super().__init__(device)
        self.inputs: dict[str, Mapping[str, Tensor]] = {}

    async def run(
        self, network: Network, inputs: Mapping[str, Tensor], ticket: Ticket | None = None
    ) -> dict[str, Tensor]:
        self.inputs[network.name] = inputs
        return await super().run(network, inputs, ticket)


class Samples:
    """A growing folder of one network's inputs. They are on disk, so that many of them take no memory."""

    def __init__(self, folder: Path, lane: Recorder, network: Network) -> None:
        self._folder, self._lane, self._network, self._count = folder, lane, network, 0
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("*.npz"):  # left by a run before
            path.unlink()

    def keep(self) -> None:
        """Writes the network's last inputs."""
        inputs: dict[str, Any] = dict(self._lane.inputs[self._network.name])
        if "encoder_hidden_states" in inputs:  # nearly all of the bytes; 16 bits are enough for its range
            inputs["encoder_hidden_states"] = inputs["encoder_hidden_states"].astype(np.float16)
        np.savez(self._folder / f"{self._count:04}.npz", **inputs)
        self._count += 1


def run(order: Order, on_progress: OnProgress) -> None:
    """Records the samples; progress counts denoising steps.

    Raises LoadError for a folder, a file or settings that do not fit, JobError for a network that fails.
    """
    asyncio.run(_record(order, on_progress))


async def _record(order: Order, on_progress: OnProgress) -> None:
    config = model_config.read(Path(order.folder))
    if config.kind not in STRENGTHS:
        raise LoadError(
            f"{config.folder}: must be of kind {' or '.join(STRENGTHS)} to be calibrated, not {config.kind}"
        )
    prompts = _prompts(Path(order.prompts) if order.prompts else PROMPTS)
    lane = Recorder(Device().name)
    model = await Registry(max_edge=MAX_EDGE, make_lane=lambda *_: lane).load("model", config, Device())
    pictures = _choose_pictures(config, _sizes(order.sizes, model.info.limits, config), prompts, order.count)
    unet = Samples(Path(order.output) / "unet", lane, model.networks.unet)
    decoder = Samples(Path(order.output) / "vae_decoder", lane, model.networks.vae_decoder)
    done, total = 0, sum(len(picture.trajectory.segment) for picture in pictures)

    def on_step() -> None:
        nonlocal done
        done += 1
        on_progress(done, total)

    for picture in pictures:
        latents = await _draw(model, picture, unet, on_step)
        for clean in latents if order.vae else ():
            await model.decode(clean)
            decoder.keep()


def _prompts(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LoadError(f"prompts must be a text file in UTF-8, not {path}: {error}") from None
    prompts = [line.strip() for line in lines if line.strip()]
    if not prompts:
        raise LoadError(f"prompts must have one prompt a line, and {path} has none")
    return prompts


def _sizes(ordered: Sequence[int | Sequence[int]] | None, limits: Limits, config: ModelConfig) -> list[Hw]:
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


def _choose_pictures(config: ModelConfig, sizes: Sequence[Hw], prompts: Sequence[str], count: int) -> list[Picture]:
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
        job = _job(config, prompts[place % len(prompts)], size, strength, place)
        (segment,) = make_plan(job, {job.model: config}).segments
        steps = [step for step in range(segment.first, segment.last) if step % stride == place % stride]
        pictures.append(Picture(Trajectory(job, segment, place), frozenset(steps[: count - len(kept)])))
        kept += pictures[-1].kept
    whole = pictures[0].trajectory.segment
    all_steps = range(whole.first, whole.last)
    if missing := set(all_steps) - set(kept):
        raise LoadError(f"samples must be at least {len(kept) + len(missing)}, for every step to be seen, not {count}")
    return pictures


def _job(config: ModelConfig, prompt: str, size: Hw, strength: float | None, seed: int) -> Job:
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


async def _draw(model: Pipeline, picture: Picture, samples: Samples, on_step: Callable[[], None]) -> list[Array]:
    """Draws a picture and keeps samples. Returns its latents as its kept later steps estimate them, and as they are."""
    trajectory, clean = picture.trajectory, []
    job, segment, _ = trajectory
    conditioning = await model.conditioner.encode(job, refines=job.source is not None)
    state, canvas = model.start(trajectory, await model.read(job))
    async with aclosing(model.denoise(trajectory, state, conditioning, canvas)) as steps:
        async for step in steps:
            if state.step in picture.kept:
                samples.keep()
                clean += [step.denoised] if 2 * state.step >= len(segment.schedule) else []
            state = step.state
            on_step()
    return [*clean, state.latents]


if __name__ == "__main__":
    sys.exit(main(Order, run))
