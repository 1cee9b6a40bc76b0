"""Networks for tests: one without a graph, and one that can be made to fail."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping

import numpy as np
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.errors import InferenceFailed
from safelight_server.lanes.batching import signature
from safelight_server.lanes.buffers import Buffers
from safelight_server.lanes.network import Network, Shape, Tensor
from safelight_server.models.batch_profile import random_row

ROW = {"x": np.zeros((1, 2), np.float32)}


class FakeNetwork:
    """Doubles what it is given, after a moment, or once `gate` is open. `log` has (name, rows) of every run."""

    precision = "f32"
    input = "x"
    broken = False

    def __init__(self, name: str, log: list[tuple[str, int]], gate: asyncio.Event | None = None) -> None:
        self.name, self._log, self._gate = name, log, gate
        self.running, self.closed, self.began = False, False, asyncio.Event()
        self.buffers = Buffers()
        self.shapes: Mapping[str, Shape] = {"x": (-1, 2)}

    async def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        assert not self.running
        self.running = True
        self.began.set()
        try:
            await (self._gate.wait() if self._gate else asyncio.sleep(0.001))
        finally:
            self.running = False
        self._log.append((self.name, len(inputs["x"])))
        return {"y": inputs["x"] * 2}

    def load(self, precision: str = "") -> None: ...

    def trim(self) -> None: ...

    def close(self) -> None:
        assert not self.running
        self.closed = True


def allow_all_batches(model: Pipeline) -> None:
    """As on a machine where every batch of the UNet pays, at 128 x 128 pixels."""
    row = random_row(model.networks.unet, 16, 0, model.info.limits.max_prompt_tokens)
    model.lane.batching.allow(signature(model.networks.unet, row), (2, 4, 8))


async def batches_change_bits(model: Pipeline) -> bool:
    """Whether this processor rounds rows of a batch otherwise than single ones. Then a warm-up allows no batch."""
    return await unchanging_batches(model) != (2, 4, 8)


async def allow_unchanging_batches(model: Pipeline) -> int:
    """As on a machine where every batch of the UNet pays that changes no bit, at 128 x 128 pixels. The largest."""
    row = random_row(model.networks.unet, 16, 0, model.info.limits.max_prompt_tokens)
    sizes = await unchanging_batches(model)
    model.lane.batching.allow(signature(model.networks.unet, row), sizes)
    return max(sizes, default=1)


async def unchanging_batches(model: Pipeline) -> tuple[int, ...]:
    """The sizes at which this processor gives each row the bits that it has alone, at 128 x 128 pixels."""
    network, lane, found = model.networks.unet, model.lane, list[int]()
    rows = [random_row(network, 16, seed, model.info.limits.max_prompt_tokens) for seed in range(8)]
    alone = [await lane.run(network, row) for row in rows]
    for size in (2, 4, 8):
        batch = {name: np.concatenate([row[name] for row in rows[:size]]) for name in rows[0]}
        outputs = await lane.run(network, batch)
        same = (
            value[at].tobytes() == alone[at][name][0].tobytes() for name, value in outputs.items() for at in range(size)
        )
        if not all(same):
            break
        found.append(size)
    return tuple(found)


class Breakable:
    """A real network that fails while `fails` is set; then it is broken until it is loaded anew."""

    def __init__(self, inner: Network) -> None:
        self._inner = inner
        self.name, self.shapes, self.input, self.precision = inner.name, inner.shapes, inner.input, inner.precision
        self.buffers = inner.buffers
        self.fails, self.broken = False, False
        self.loading: threading.Event | None = None  # `load` waits for it

    async def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if self.fails or self.broken:
            self.broken = True
            raise InferenceFailed(self.name)
        return await self._inner(inputs)

    def load(self, precision: str = "") -> None:
        if self.loading is not None:
            self.loading.wait(60)
        self.broken = False

    def trim(self) -> None:
        self._inner.trim()

    def close(self) -> None:
        self._inner.close()
