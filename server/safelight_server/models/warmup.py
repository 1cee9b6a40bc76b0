"""The first runs of a model: weights are repacked, the preview map is fitted, the lane learns times and batches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import numpy as np

from safelight_server.arrays import Array, Pixels
from safelight_server.diffusion.networks import FEATURE
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.errors import InferenceFailed, LoadError
from safelight_server.jobs import Job, Prompts, Scheduler
from safelight_server.lanes.network import Tensor
from safelight_server.model_folder.model_config import Latents

from . import batch_profile
from .learning import Learning
from .loader import OnProgress

DECODED = 256  # pixels, of a picture that says how much memory and time larger ones take


async def warm(model: Pipeline, learning: Learning, on_progress: OnProgress) -> None:
    """Runs every network once, as the first inference repacks the weights, and learns what is best learnt by running.

    Raises LoadError where one fails: then the graphs of the folder do not fit each other.
    """
    on_progress(f"{model.info.name}: warming")
    try:
        await learning.choose(model, on_progress)
        await _run_all(model)
        learning.recall(model)
        if model.networks.vae_decoder.buffers.each is None:
            await model.decode(np.zeros((1, *_latents(model, DECODED)), np.float32))
        if model.config.latent_rgb is None and not learning.knows_colours:
            model.latent_rgb = await fit_latent_rgb(model.decode, model.config.latents)
        await batch_profile.profile(model)
        learning.keep(model)
        for network in model.networks.all():
            network.trim()  # of what the large batches needed
    except InferenceFailed as error:
        raise LoadError(f"{model.config.folder}: {error.network} failed on its first run; the log says how") from None


async def _run_all(model: Pipeline) -> None:
    """All networks but the VAE's encoder, at a small size, with one row."""
    edge = model.info.limits.small_edge
    prompts = Prompts("warm", "warm", "cold", "cold")
    job = Job(
        id="warm",
        model=model.info.name,
        prompts=prompts,
        size=(edge, edge),
        steps=1,
        guidance=1.0,
        rescale=0.0,
        seeds=(0,),
        scheduler=Scheduler(model.config.scheduler),
    )
    conditioning = await model.conditioner.encode(job, refines=False)
    channels = model.config.latents.channels
    latents = edge // model.config.latents.factor
    unet_channels = 2 * channels + 1 if model.config.kind == "inpaint" else channels
    sample = np.zeros((conditioning.rows, unet_channels, latents, latents), np.float32)
    given: dict[str, Tensor] = {"sample": sample, "timestep": np.zeros(conditioning.rows), **conditioning.inputs}
    for _ in range(2):  # the first one packs the weights: it does not say what a step takes
        outputs = await model.lane.run(model.networks.unet, given)
    if (shallow := model.networks.shallow_unet) is not None:
        given |= {FEATURE: outputs[FEATURE]}
        await model.lane.run(shallow, {name: given[name] for name in shallow.shapes})
    nothing = np.zeros((1, *_latents(model, edge)), np.float32)
    await model.decode(nothing)
    if model.networks.tiny_decoder is not None:
        await model.decode(nothing, tiny=True)


def _latents(model: Pipeline, edge: int) -> tuple[int, int, int]:
    """The shape of one picture's, of so many pixels to an edge."""
    space = model.config.latents
    return space.channels, edge // space.factor, edge // space.factor


async def fit_latent_rgb(decode: Callable[[Array], Awaitable[Pixels]], space: Latents) -> tuple[Array, Array]:
    """The linear map from latents to RGB in -1..1 that is nearest to a decoder, by least squares over small patches."""
    edge = 32
    patches = np.random.default_rng(0).standard_normal((1, space.channels, edge // 2, edge // 2))
    latents = patches.repeat(2, axis=2).repeat(2, axis=3).astype(np.float32)
    picture = await decode(latents)
    blocks = picture.reshape(edge, space.factor, edge, space.factor, 3).mean(axis=(1, 3)).reshape(-1, 3) / 127.5 - 1
    columns = np.column_stack([latents.reshape(space.channels, -1).T, np.ones(edge * edge)])
    solution = np.linalg.lstsq(columns, blocks, rcond=None)[0].astype(np.float32)
    return np.ascontiguousarray(solution[:-1]), np.ascontiguousarray(solution[-1])
