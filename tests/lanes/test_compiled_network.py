"""A network on a real graph: cancelling, failing, healing."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import openvino.opset13 as ops
import psutil
import pytest
from safelight_server.errors import InferenceFailed
from safelight_server.lanes.compiled_graph import Graph
from safelight_server.lanes.compiled_network import CompiledNetwork
from safelight_server.lanes.network import Shape

SLOW = 60  # layers


def graph(layers: int) -> Any:
    """x through a matrix, again and again."""
    x = ops.parameter([-1, 1024], np.float32, name="x")
    weights = ops.constant(np.eye(1024, dtype=np.float32) * 1.0)
    y = x
    for _ in range(layers):
        y = ops.tanh(ops.matmul(y, weights, False, False))
    return ov.Model([ops.result(y, name="y")], [x], "slow")


def test_what_takes_a_stopped_graph_along_differs_in_every_input() -> None:
    """Also in those that hang on the rows alone, as a prompt does: of 150 steps, one size with other rows follows."""
    inputs = [ops.parameter([-1, -1], np.float32, name="picture"), ops.parameter([-1, 8], np.float32, name="prompt")]
    both = ov.Model([ops.result(ops.reduce_sum(ops.concat(inputs, 1), [1]), name="y")], inputs, "both")
    found = Graph(ov.Core().compile_model(both, "CPU"), ())
    shapes: list[dict[int, Shape]] = [
        {0: (rows, width), 1: (rows, 8)} for rows, width in ((1, 16), (8, 16), (2, 32), (1, 4))
    ]
    for one in shapes:
        found.note({index: np.zeros(shape, np.float32) for index, shape in one.items()}, one)
    for first in shapes:
        for second in shapes:
            for index, value in found.unlike(first, second).items():
                assert value.shape not in (first[index], second[index])


def network(layers: int = 1, wrap: Callable[[Any], Any] | None = None) -> CompiledNetwork:
    """`wrap` may put something around each infer request."""
    model = graph(layers)
    model.outputs[0].get_tensor().set_names({"y"})

    def compile() -> Any:
        compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return Wrapped(compiled, wrap) if wrap else compiled

    return CompiledNetwork("slow", lambda precision: compile())


class Wrapped:
    """A compiled model whose infer requests are wrapped."""

    def __init__(self, compiled: Any, wrap: Callable[[Any], Any]) -> None:
        self.compiled, self.wrap = compiled, wrap

    def create_infer_request(self) -> Any:
        return self.wrap(self.compiled.create_infer_request())

    def __getattr__(self, name: str) -> Any:
        return getattr(self.compiled, name)


def test_runs_and_copies() -> None:
    async def run() -> None:
        net = network()
        one = (await net({"x": np.full((2, 1024), 1.0)}))["y"]
        two = (await net({"x": np.full((2, 1024), 2.0)}))["y"]
        assert np.allclose(one, np.tanh(1.0))
        assert np.allclose(two, np.tanh(2.0))

    asyncio.run(run())


def test_a_network_that_is_trimmed_gives_back_its_buffers_and_says_the_same() -> None:
    async def run() -> None:
        net, inputs = network(layers=3), {"x": np.full((2**13, 1024), 0.5)}
        before = (await net(inputs))["y"]
        held = psutil.Process().memory_info().rss
        net.trim()
        assert held - psutil.Process().memory_info().rss > before.nbytes / 2
        assert np.array_equal((await net(inputs))["y"], before)

    asyncio.run(run())


def test_a_trimmed_network_keeps_its_buffers_again_once_it_has_run() -> None:
    """Else each later inference would ask the machine for its free memory, which takes longer than a small one."""

    async def run() -> None:
        net = network()
        shape = (4, 1024)
        await net({"x": np.zeros(shape)})
        net.trim()
        assert not net.buffers.has_run(shape)
        await net({"x": np.zeros(shape)})
        assert net.buffers.has_run(shape)

    asyncio.run(run())


def test_ports_without_a_name_go_by_their_number() -> None:
    async def run() -> None:
        x = ops.parameter([-1, 2], np.float32)
        model = ov.Model([ops.result(ops.negative(x))], [x])
        net = CompiledNetwork("nameless", lambda precision: ov.Core().compile_model(model, "CPU"))
        (y,) = (await net({net.input: np.ones((1, 2))})).values()
        assert y.tolist() == [[-1, -1]]

    asyncio.run(run())


class Watched:
    """An infer request that remembers how each of its inferences ended."""

    def __init__(self, request: Any) -> None:
        self.request = request
        self.ends: list[str] = []

    def wait(self) -> None:
        try:
            self.request.wait()
            self.ends.append("ran through")
        except RuntimeError:
            self.ends.append("stopped")
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self.request, name)


def test_cancel_stops_inside_the_graph_and_leaves_the_network_ready() -> None:
    async def run() -> None:
        made: list[Watched] = []

        def wrap(request: Any) -> Watched:
            made.append(Watched(request))
            return made[-1]

        net = network(SLOW, wrap)
        x = {"x": np.ones((1024, 1024))}
        whole = await net(x)
        task = asyncio.create_task(net(x))
        await asyncio.sleep(0.002)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert np.array_equal((await net(x))["y"], whole["y"])
        assert made[0].ends == ["ran through", "stopped", "ran through"]

    asyncio.run(run())


def test_cancelling_at_a_change_of_shape_stops_at_once_and_leaves_no_mixture_behind(folders: dict[str, str]) -> None:
    """A UNet that is stopped while its nodes go over to another size must not keep some at the old one."""
    path = Path(folders["vega_lcm"]) / "unet" / "openvino_model.xml"
    made: list[Watched] = []

    def compile() -> Any:
        def wrap(request: Any) -> Watched:
            made.append(Watched(request))
            return made[-1]

        return Wrapped(ov.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}), wrap)

    def inputs(width: int) -> dict[str, Any]:
        sizes = {"sample": (1, 4, 8, width), "encoder_hidden_states": (1, 77, 80), "text_embeds": (1, 40)}
        more = {"time_ids": (1, 6), "timestep_cond": (1, 16)}
        fixed = {name: np.full(size, 0.1) for name, size in {**sizes, **more}.items()}
        return {**fixed, "timestep": np.array([500])}

    async def run() -> None:
        net = CompiledNetwork("unet", lambda precision: compile())
        right = {width: (await net(inputs(width)))["out_sample"] for width in (8, 32, 16)}
        began = time.perf_counter()
        await net(inputs(16))
        step = time.perf_counter() - began
        chance = random.Random(0)
        for _ in range(150):
            before, stopped, after = (chance.choice((8, 16, 32)) for _ in range(3))
            await net(inputs(before))
            task = asyncio.create_task(net(inputs(stopped)))
            await asyncio.sleep(chance.random() * step)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            assert not net.broken
            assert np.array_equal((await net(inputs(after)))["out_sample"], right[after])
        assert len(made) == 1, "it was never compiled anew"
        assert made[0].ends.count("stopped") > 10

    asyncio.run(run())


def test_a_failure_breaks_the_network_until_it_is_loaded_anew() -> None:
    async def run() -> None:
        net = network()
        with pytest.raises(InferenceFailed):
            await net({"x": np.ones((2, 7))})
        assert net.broken
        with pytest.raises(InferenceFailed):  # it runs nothing, not even what is right
            await net({"x": np.zeros((1, 1024))})
        net.load()
        assert not net.broken
        assert np.allclose((await net({"x": np.zeros((1, 1024))}))["y"], 0)

    asyncio.run(run())


def test_an_inference_ends_on_the_graph_that_it_began_on() -> None:
    """Though the network is loaded anew meanwhile, as another thread may do."""

    async def run() -> None:
        net = network(SLOW)
        x = {"x": np.full((64, 1024), 0.5)}
        right = (await net(x))["y"]
        for _ in range(3):
            loading = asyncio.create_task(asyncio.to_thread(net.load))
            while not loading.done():
                try:
                    assert np.array_equal((await net(x))["y"], right)
                except InferenceFailed:  # between two graphs
                    await asyncio.sleep(0)
            await loading
            assert np.array_equal((await net(x))["y"], right)

    asyncio.run(run())


def test_a_closed_network_runs_nothing() -> None:
    async def run() -> None:
        net = network()
        net.close()
        assert net.broken
        with pytest.raises(InferenceFailed):
            await net({"x": np.zeros((1, 1024))})

    asyncio.run(run())
