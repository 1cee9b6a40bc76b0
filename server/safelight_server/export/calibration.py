"""Records what a model's UNet and VAE decoder are told while it draws: the samples that INT8 is fitted to.

`python -m safelight_server.export.calibration JSON`, a process of its own; Task is what the JSON says.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
from collections.abc import Mapping, Sequence
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
from safelight_server.errors import JobError, LoadError
from safelight_server.jobs import Job, Prompts, Scheduler, Source
from safelight_server.lanes.lane import Lane
from safelight_server.lanes.network import Network, Tensor
from safelight_server.lanes.ticket import Ticket
from safelight_server.model_folder import model_config
from safelight_server.model_folder.model_config import ModelConfig
from safelight_server.models.device import Device
from safelight_server.models.registry import Registry

PROMPTS = Path(__file__).with_name("prompts.txt")
MAX_EDGE = 4096
LARGEST = 512  # pixels; ranges hang little on the size, the time for a picture much
SHAPES = ((1, 1), (3 / 4, 1), (3 / 4, 1 / 2))  # height and width, of the largest edge
KEPT = 9  # steps of one picture, at most: more pictures say more than more of their steps

# How much of a picture is drawn anew, by turns; None: all of it, from noise. The first is the one that sees all steps.
STRENGTHS: dict[str, tuple[float | None, ...]] = {"base": (None, None, None, 0.6), "refiner": (0.6, 0.3)}


@dataclass(frozen=True)
class Task:
    """`output` becomes a folder of samples, unet/*.npz and vae_decoder/*.npz, each file one set of a graph's inputs."""

    folder: str
    output: str
    prompts: str | None = None  # a file, one a line; None: ours
    count: int = 100  # samples of the UNet
    sizes: Sequence[int | Sequence[int]] | None = None  # each an edge, or [height, width]
    vae: bool = False  # also the VAE decoder's, some of each picture


class Picture(NamedTuple):
    """An image to draw, and those of its steps that are worth keeping."""

    trajectory: Trajectory
    kept: frozenset[int]


class Recorder(Lane):
    """A lane that knows what each network was told last."""

    def __init__(self, device: str) -> None:
        super().__init__(device)
        self.told: dict[str, Mapping[str, Tensor]] = {}

    async def run(
        self, network: Network, inputs: Mapping[str, Tensor], ticket: Ticket | None = None
    ) -> dict[str, Tensor]:
        self.told[network.name] = inputs
        return await super().run(network, inputs, ticket)


class Samples:
    """A growing folder of one network's inputs; on disk, so that their number costs no memory."""

    def __init__(self, folder: Path, lane: Recorder, network: Network) -> None:
        self._folder, self._lane, self._network, self._count = folder, lane, network, 0
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("*.npz"):  # of a run before
            path.unlink()

    def keep(self) -> None:
        inputs: dict[str, Any] = dict(self._lane.told[self._network.name])
        if "encoder_hidden_states" in inputs:  # nearly all of the bytes, and no range hangs on its last digits
            inputs["encoder_hidden_states"] = inputs["encoder_hidden_states"].astype(np.float16)
        np.savez(self._folder / f"{self._count:04}.npz", **inputs)
        self._count += 1


async def record(task: Task) -> None:
    """Raises LoadError for a folder, a file or settings that do not fit, JobError for a network that fails."""
    found = model_config.read(Path(task.folder))
    if found.kind not in STRENGTHS:
        raise LoadError(f"{found.folder}: must be of kind {' or '.join(STRENGTHS)} to be calibrated, not {found.kind}")
    prompts = _prompts(Path(task.prompts) if task.prompts else PROMPTS)
    lane = Recorder(Device().name)
    model = await Registry(max_edge=MAX_EDGE, make_lane=lambda *_: lane).load("model", found, Device())
    pictures = _pictures(found, _sizes(task.sizes, model.info.limits, found), prompts, task.count)
    unet = Samples(Path(task.output) / "unet", lane, model.networks.unet)
    decoder = Samples(Path(task.output) / "vae_decoder", lane, model.networks.vae_decoder)
    done, total = 0, sum(len(picture.trajectory.segment) for picture in pictures)
    for picture in pictures:
        latents = await _draw(model, picture, unet, done, total)
        done += len(picture.trajectory.segment)
        for clean in latents if task.vae else ():
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


def _sizes(asked: Sequence[int | Sequence[int]] | None, limits: Limits, found: ModelConfig) -> list[Hw]:
    """Those asked for, or a few up to the model's native size."""
    step, least = limits.edge_multiple, limits.min_edge
    if asked is None:
        edge = min(found.native_edge, LARGEST)
        fitted = ([max(int(edge * part) // step * step, least) for part in shape] for shape in SHAPES)
        return [(height, width) for height, width in fitted]
    sizes = [(size, size) if isinstance(size, int) else (size[0], size[1]) for size in asked]
    for edge in (edge for size in sizes for edge in size):
        if edge % step or not least <= edge <= limits.max_edge:
            raise LoadError(f"sizes must be multiples of {step} from {least} to {limits.max_edge}, not {edge}")
    return sizes


def _pictures(found: ModelConfig, sizes: Sequence[Hw], prompts: Sequence[str], count: int) -> list[Picture]:
    """Enough for `count` samples: every step is among them, and each size, guidance and strength has many of them."""
    pictures: list[Picture] = []
    kept: list[int] = []
    stride, turns = math.ceil(found.steps / KEPT), STRENGTHS[found.kind]
    while len(kept) < max(count, 1):
        place = len(pictures)
        strength = turns[0 if place < stride else place % len(turns)]  # at first, until every step was kept
        size = sizes[(place + place // len(sizes)) % len(sizes)]  # not in step with the stride
        job = _job(found, prompts[place % len(prompts)], size, strength, place)
        (segment,) = make_plan(job, {job.model: found}).segments
        steps = [step for step in range(segment.first, segment.last) if step % stride == place % stride]
        pictures.append(Picture(Trajectory(job, segment, place), frozenset(steps[: count - len(kept)])))
        kept += pictures[-1].kept
    whole = pictures[0].trajectory.segment
    all_steps = range(whole.first, whole.last)
    if missing := set(all_steps) - set(kept):
        raise LoadError(f"samples must be at least {len(kept) + len(missing)}, for every step to be seen, not {count}")
    return pictures


def _job(found: ModelConfig, prompt: str, size: Hw, strength: float | None, seed: int) -> Job:
    source = None if strength is None else Source(clouds(size, seed), None, strength)
    guidance = min(found.guidance, 1.0) if seed % 5 == 2 else found.guidance
    prompts, scheduler = Prompts(prompt, prompt), Scheduler(found.scheduler)
    return Job(
        id="calibration",
        model="model",
        prompts=prompts,
        size=size,
        steps=found.steps,
        guidance=guidance,
        rescale=0.0,
        seeds=(seed,),
        scheduler=scheduler,
        source=source,
    )


def clouds(size: Hw, seed: int) -> Pixels:
    """A picture to start from: noise in colour, at each scale about as strong as in photographs."""
    random = np.random.default_rng(seed)
    height, width = size
    picture = np.zeros((height, width, 3))
    for octave in range(1, 7):
        grain = random.normal(0, 0.5**octave, (3, 2**octave, 2**octave)).astype(np.float32)
        for place, band in enumerate(grain):
            picture[..., place] += np.asarray(Image.fromarray(band).resize((width, height), Image.Resampling.BICUBIC))
    return (127.5 + 127 * np.tanh(picture)).astype(np.uint8)


async def _draw(model: Pipeline, picture: Picture, samples: Samples, done: int, total: int) -> list[Array]:
    """The picture's finished latents, and those that it was thought to become at its later steps."""
    trajectory, clean = picture.trajectory, []
    job, segment, _ = trajectory
    conditioning = await model.conditioner.encode(job, refines=job.source is not None)
    state, canvas = model.start(trajectory, await model.read(job))
    async with aclosing(model.denoise(trajectory, state, conditioning, canvas)) as steps:
        async for step in steps:
            if state.step in picture.kept:
                samples.keep()
                clean += [step.denoised] if 2 * state.step >= len(segment.schedule) else []
            state, done = step.state, done + 1
            print(f"progress {done} {total}", flush=True)
    return [*clean, state.latents]


def main() -> None:
    try:
        asyncio.run(record(Task(**json.loads(sys.argv[1]))))
    except (LoadError, JobError) as error:
        sys.exit(f"safelight-server: {error}")


if __name__ == "__main__":
    main()
