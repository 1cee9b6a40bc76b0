"""Draws pictures with a model and records the inputs of its networks: the samples that INT8 is fitted to.

`python -m safelight_server.export.calibration JSON` is a process of its own; the JSON has the fields of Order.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from safelight_server.arrays import Array
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.diffusion.plan import Trajectory
from safelight_server.errors import LoadError
from safelight_server.lanes.lane import Lane
from safelight_server.lanes.network import Network, Tensor
from safelight_server.lanes.ticket import Ticket
from safelight_server.model_folder import model_config
from safelight_server.models.device import Device
from safelight_server.models.registry import Registry

from . import pictures
from .pictures import MAX_EDGE, STRENGTHS, Picture
from .work import OnProgress, main

TEXTS = 48  # prompts that the text encoders read for their samples, at most
EXACT = Device(precision="f32")


@dataclass(frozen=True)
class Order:
    """Record samples of a model: unet/*.npz, vae_decoder/*.npz and so on, each file one set of a graph's inputs."""

    folder: str  # the model
    output: str  # the folder for the samples
    prompts: str | None = None  # a file, one a line; None: the one that ships
    count: int = 100  # samples of the UNet
    sizes: Sequence[int | Sequence[int]] | None = None  # in pixels, each an edge or [height, width]; None: SHAPES
    vae: bool = False  # also of the VAE decoder, some of each picture
    text: bool = False  # also of the text encoders
    pictures: bool = False  # also draw pictures/*.npy, to judge by what INT8 draws


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
    prompts = pictures.read_prompts(order.prompts)
    lane = Recorder(EXACT.name)
    model = await Registry(max_edge=MAX_EDGE, make_lane=lambda *_: lane).load("model", config, EXACT)
    sizes = pictures.fitting_sizes(order.sizes, model.info.limits, config)
    chosen = pictures.choose(config, sizes, prompts, order.count)
    output = Path(order.output)
    (output / "pictures").mkdir(parents=True, exist_ok=True)
    unet = Samples(output / "unet", lane, model.networks.unet)
    decoder = Samples(output / "vae_decoder", lane, model.networks.vae_decoder)
    judged = pictures.judged(config, sizes[0], prompts) if order.pictures else []
    done, total = 0, sum(len(picture.trajectory.segment) for picture in chosen) + sum(map(_steps, judged))

    def on_step() -> None:
        nonlocal done
        done += 1
        on_progress(done, total)

    for picture in chosen:
        latents = await _draw(model, picture, unet, on_step)
        for clean in latents if order.vae else ():
            await model.decode(clean)
            decoder.keep()
    if order.text:
        await _read(model, prompts, lane, output)
    await _draw_judged(model, judged, output / "pictures", on_step)


async def _read(model: Pipeline, prompts: Sequence[str], lane: Recorder, output: Path) -> None:
    """Has the text encoders read prompts, and none, and keeps what they were given."""
    for part, encoder in zip(model.info.config.encoders, model.networks.encoders, strict=True):
        samples = Samples(output / part, lane, encoder.network)
        for text in ("", *prompts[: TEXTS - 1]):
            (chunk,) = encoder.tokenizer.literal(text)
            await lane.run(encoder.network, {"input_ids": np.array([chunk.ids], np.int64)})
            samples.keep()


def _steps(trajectory: Trajectory) -> int:
    return len(trajectory.segment)


async def _draw_judged(
    model: Pipeline, judged: Sequence[Trajectory], folder: Path, on_step: Callable[[], None]
) -> None:
    """Draws the pictures that are kept as they are, for `likeness`."""
    for number, trajectory in enumerate(judged):
        np.save(folder / f"{number}.npy", await pictures.draw(model, trajectory, on_step))


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
