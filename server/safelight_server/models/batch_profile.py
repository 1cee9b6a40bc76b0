"""Tries which batches pay, and change no bit: what the lane may join is what was measured on this machine."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence

import numpy as np

from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.lanes.batching import kind
from safelight_server.lanes.lane import Lane
from safelight_server.lanes.network import Network, Tensor

BATCHES = (2, 4, 8)  # rows
MOST = max(BATCHES)
GAIN = 1.2  # rows a second, against one by one: with less, a job would wait longer for its step than alone
TOKENS = 77  # where a graph takes any number: CLIP's
# Seconds for a row: with slower ones a CPU gains nothing, and the trial would take minutes. The first row of a shape
# takes longer, as the graph is prepared for it, and counts all the same: the server is to be ready soon.
PATIENCE = 0.25


async def batching(model: Pipeline) -> None:
    """Tries the text encoders, and the UNet at a quarter of the model's native edge, a half, and the whole.

    Where nothing pays, nothing does at a larger size: the larger the picture, the fewer cores are idle with one. The
    VAE is left out: a picture has it once, and it keeps all cores busy at any size (4 rows on 2 cores: 1.18 times).
    """
    networks, lane = model.networks, model.lane
    for encoder in networks.encoders:
        ids = encoder.ids("a few words")
        if lane.step_times.seconds(encoder.network.name, ids.shape) > PATIENCE:  # so the warming has seen
            continue
        rows = [{encoder.network.input: np.roll(ids, seed)} for seed in range(MOST)]
        await measure(lane, encoder.network, rows)
    for network in (networks.unet, networks.shallow_unet):
        for edge in _edges(model) if network is not None else ():
            assert network is not None
            rows = [_row(network, edge // model.config.latents.factor, seed) for seed in range(MOST)]
            if not await measure(lane, network, rows):
                break


def _edges(model: Pipeline) -> list[int]:
    """Pixels, square."""
    limits, native = model.info.limits, model.config.native_edge
    edges = {native // part // limits.edge_multiple * limits.edge_multiple for part in (4, 2, 1)}
    return sorted(edge for edge in edges if edge >= max(limits.min_edge, 64))


def _row(network: Network, latents: int, seed: int) -> dict[str, Tensor]:
    """Random inputs of one row, for a picture of so many latents to an edge, at a timestep of its own."""
    random = np.random.default_rng(seed)
    sizes = {1: TOKENS, 2: latents, 3: latents}
    row: dict[str, Tensor] = {}
    for name, shape in network.shapes.items():
        fixed = [1 if axis == 0 else size if size > 0 else sizes[axis] for axis, size in enumerate(shape)]
        row[name] = random.standard_normal(fixed, np.float32)
    return row | ({"timestep": np.array([999 - 100 * seed])} if "timestep" in row else {})


async def measure(lane: Lane, network: Network, rows: Sequence[Mapping[str, Tensor]]) -> tuple[int, ...]:
    """Allows the lane the batches of these rows that pay and change no bit, and says which they are.

    What another model on the lane has in common with this one is not tried again.
    """
    what = kind(network, rows[0])
    if not lane.batching.knows(what):
        lane.batching.allow(what, [size async for size in _paying(lane, network, rows)])
    return lane.batching.sizes(what)


async def _paying(lane: Lane, network: Network, rows: Sequence[Mapping[str, Tensor]]) -> AsyncIterator[int]:
    alone: list[Mapping[str, Tensor]] = []
    seconds = float("inf")
    for size in BATCHES:
        for row in rows[len(alone) : size]:
            outputs, took = await _timed(lane, network, row)
            alone.append(outputs)
            seconds = min(seconds, took)
            if seconds > PATIENCE:
                return
        batch = {name: np.concatenate([row[name] for row in rows[:size]]) for name in rows[0]}
        outputs, together = min([await _timed(lane, network, batch) for _ in range(3)], key=lambda run: run[1])
        if together * GAIN > seconds * size or not _same(outputs, alone):
            return
        yield size


def _same(outputs: Mapping[str, Tensor], alone: Sequence[Mapping[str, Tensor]]) -> bool:
    """Whether a batch gives every row the bits that it has alone."""
    return all(
        value[place].tobytes() == row[name][0].tobytes()
        for name, value in outputs.items()
        for place, row in enumerate(alone)
    )


async def _timed(lane: Lane, network: Network, inputs: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], float]:
    began = time.perf_counter()
    outputs = await lane.run(network, inputs)
    return outputs, time.perf_counter() - began
