"""Measures which batches pay on this machine, and change no bit: a lane joins those and no others."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence

import numpy as np

from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.lanes.batching import signature
from safelight_server.lanes.lane import Lane
from safelight_server.lanes.network import Network, Tensor, is_shared

BATCHES = (2, 4, 8)  # rows
MOST = max(BATCHES)
GAIN = 1.2  # in rows a second, over one by one: below it a job would wait longer for its step than it does alone
TOKENS = 77  # CLIP's
# Seconds for a row. A CPU gains nothing where a row takes longer, and measuring it would take minutes. The first row of
# a shape takes longer than the next, as the graph is prepared for it; it counts all the same, to be ready soon.
PATIENCE = 0.25


async def profile(model: Pipeline) -> None:
    """Measures the text encoders, and the UNet at a quarter of the model's native edge, at a half, and at the whole.

    Where nothing pays, nothing does at a larger size: the larger the picture, the fewer cores are idle with one. The
    VAE is left out: a picture has it once, and it keeps all cores busy at any size (4 rows on 2 cores: 1.18 times).
    """
    networks, lane, tokens = model.networks, model.lane, model.info.limits.max_prompt_tokens
    for encoder in networks.encoders:
        ids = np.array([encoder.tokenizer.literal("a few words")[0].ids])
        if lane.step_times.seconds(encoder.network.name, ids.shape) > PATIENCE:  # as the first runs showed
            continue
        rows = [{encoder.network.input: np.roll(ids, seed)} for seed in range(MOST)]
        await measure(lane, encoder.network, rows)
    for network in (networks.unet, networks.shallow_unet):
        for edge in _edges(model) if network is not None else ():
            assert network is not None
            rows = [random_row(network, edge // model.config.latents.factor, seed, tokens) for seed in range(MOST)]
            if not await measure(lane, network, rows):
                break


def _edges(model: Pipeline) -> list[int]:
    """In pixels: those of the square pictures to measure with."""
    limits, native = model.info.limits, model.config.native_edge
    edges = {native // part // limits.edge_multiple * limits.edge_multiple for part in (4, 2, 1)}
    return sorted(edge for edge in edges if edge >= limits.small_edge)


def random_row(network: Network, latents: int, seed: int, tokens: int = TOKENS) -> dict[str, Tensor]:
    """Random inputs of one row, for a picture of so many latents to an edge and for a prompt of so many tokens, at a
    timestep of its own if it may be."""
    random = np.random.default_rng(seed)
    sizes = {1: tokens, 2: latents, 3: latents}
    row: dict[str, Tensor] = {}
    for name, shape in network.shapes.items():
        fixed = [1 if axis == 0 else size if size > 0 else sizes[axis] for axis, size in enumerate(shape)]
        row[name] = random.standard_normal(fixed, np.float32)
    if "timestep" in row:
        row["timestep"] = np.array([999 if is_shared(network.shapes["timestep"]) else 999 - 100 * seed])
    return row


async def measure(lane: Lane, network: Network, rows: Sequence[Mapping[str, Tensor]]) -> tuple[int, ...]:
    """Allows the lane those batches of these rows that pay and change no bit; gives their sizes, the largest first.

    What was measured before, for a model that shares the network, is not measured again.
    """
    what = signature(network, rows[0])
    if not lane.batching.knows(what):
        lane.batching.allow(what, [size async for size in _paying(lane, network, rows)])
    return lane.batching.sizes(what)


async def _paying(lane: Lane, network: Network, rows: Sequence[Mapping[str, Tensor]]) -> AsyncIterator[int]:
    """The sizes that pay, the smallest first; what is larger than one that does not pay is not tried."""
    alone: list[Mapping[str, Tensor]] = []
    seconds = float("inf")
    for size in BATCHES:
        for row in rows[len(alone) : size]:
            outputs, took = await _run_timed(lane, network, row)
            alone.append(outputs)
            seconds = min(seconds, took)
            if seconds > PATIENCE:
                return
        batch = {name: np.concatenate([row[name] for row in rows[:size]]) for name in rows[0]}
        outputs, together = min([await _run_timed(lane, network, batch) for _ in range(3)], key=lambda run: run[1])
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


async def _run_timed(lane: Lane, network: Network, inputs: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], float]:
    began = time.perf_counter()
    outputs = await lane.run(network, inputs)
    return outputs, time.perf_counter() - began
