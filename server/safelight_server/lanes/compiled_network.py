"""One compiled OpenVINO graph that a task can await; the only user of infer requests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from safelight_server.errors import InferenceFailed

from . import weight_pages
from .buffers import Buffers, resident
from .compiled_graph import Graph
from .inference_end import InferenceEnd
from .network import Shape, Tensor, is_shared

log = logging.getLogger(__name__)


class CompiledNetwork:
    """A Network in this process: a compiled graph and its one infer request.

    `compile` gives the compiled graph in a precision ("": as the device does), and is called again to heal a network
    that has failed. `outputs` names the outputs that are worth copying out; all of them if there are none. `weights` is
    the file that the graph's constants are read from. With `shapes`, of its inputs, it is compiled when it is first
    run.
    """

    def __init__(
        self,
        name: str,
        compile: Callable[[str], Any],
        outputs: Sequence[str] = (),
        weights: Path | None = None,
        precision: str = "",
        shapes: Mapping[str, Shape] | None = None,
    ) -> None:
        self.name = name
        self._compile, self._asked = compile, precision
        self._outputs = tuple(outputs)
        self._weights = weights
        # A thread of its own to wait in: the pool that reads and writes pictures may be full.
        self._waiter = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._graph: Graph | None = None
        self.buffers = Buffers()
        self.shapes: Mapping[str, Shape] = shapes or {}
        self.precision = precision
        self._waits = shapes is not None
        if not self._waits:
            self._compile_now()

    def load(self, precision: str = "") -> None:
        """Compiles the graph, or compiles it anew; blocks for seconds. Until that is done, the network is `broken`."""
        self._asked = precision or self._asked
        if self._waits:
            self.precision = self._asked
        else:
            self._compile_now()

    def _compile_now(self) -> None:
        self._graph = None  # before the next one is made: there may be memory for one alone
        try:
            self._graph = graph = Graph(self._compile(self._asked), self._outputs)
        finally:
            self._waits = False
        self.buffers = Buffers()
        self.shapes, self.precision = graph.shapes, _precision(graph.compiled)

    @property
    def broken(self) -> bool:
        return self._graph is None and not self._waits

    def trim(self) -> None:
        """Gives back the buffers of the largest shape that it ran at: the next inference takes what it needs anew."""
        if self._graph is not None:
            self._graph.compiled.release_memory()
            self.buffers.give_back()

    def close(self) -> None:
        """Drops the compiled graph, and with it its weights; blocks until an inference that runs has ended."""
        self._waiter.shutdown()
        self._waits, self._graph = False, None

    @property
    def from_cache(self) -> bool:
        """Whether the device took it from the cache folder, and compiled nothing."""
        return self._graph is not None and bool(self._graph.compiled.get_property("LOADED_FROM_CACHE"))

    @property
    def input(self) -> str:
        """The name of the first input, which is the only one of most graphs."""
        return next(iter(self.shapes))

    async def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Runs the graph once. A cancelled task stops it inside the graph and leaves the request ready for the next.

        Raises InferenceFailed, after which the network is `broken`, and runs nothing, until `load` was called.
        """
        if self._waits:
            await self._first_load()
        graph = self._graph
        if graph is None:
            raise InferenceFailed(self.name)
        ports = {name: graph.inputs[name] for name in inputs}
        given = {
            index: np.asarray(_as_declared(inputs[name], graph.shapes[name]), type, order="C")
            for name, (index, type) in ports.items()
        }
        shapes = {index: value.shape for index, value in given.items()}
        before = None if tuple(shapes.values()) in graph.ran else resident()
        try:
            # start_async and wait only: with one thread the synchronous infer() has returned the output of the request
            # before in place of an error, and no callback fires for a request that was cancelled.
            graph.request.start_async(given, share_inputs=True)
            end = InferenceEnd(graph.request.wait, self._waiter)
            await end.reached()
        except asyncio.CancelledError:
            await self._stop(graph, shapes, end)
            raise
        except Exception as error:
            self._break(graph)
            log.exception("network %s failed", self.name)
            raise InferenceFailed(self.name) from error
        if before is not None:
            self.buffers.note(next(iter(shapes.values())), resident() - before)
            if self._weights:  # some processors pack anew for each shape
                weight_pages.let_go(self._weights)
        else:
            self.buffers.keep(next(iter(shapes.values())))
        graph.note(given, shapes)
        # Copies, for the next inference overwrites the request's own.
        return {name: graph.request.get_tensor(port).data.copy() for name, port in graph.ports.items()}

    async def _first_load(self) -> None:
        """It is waited for to the end, whoever is cancelled: a graph that is being compiled cannot be stopped."""
        end = InferenceEnd(self._compile_now, self._waiter)
        try:
            await end.reached()
        except asyncio.CancelledError:
            await end.settled()
            raise
        except Exception as error:
            log.exception("network %s could not be compiled", self.name)
            raise InferenceFailed(self.name) from error

    async def _stop(self, graph: Graph, shapes: dict[int, Shape], end: InferenceEnd) -> None:
        """Ends an inference that nobody waits for any more.

        A graph that is stopped on its way from one shape to another keeps some nodes at the new shape and some at the
        old, and its next inferences fail or mix them up. A small inference at a third shape takes all of them along.
        """
        if graph.smallest is not None:  # the very first inference packs the weights: it runs out
            with suppress(RuntimeError):  # of devices that cannot stop: their inference runs out
                graph.request.cancel()
        if await end.settled() is None:
            graph.last = shapes
        elif shapes != graph.last and not await self._flush(graph, shapes):
            self._break(graph)

    async def _flush(self, graph: Graph, shapes: dict[int, Shape]) -> bool:
        """Runs the graph at a small shape of its own; whether that worked."""
        if graph.smallest is None:
            return False
        small = graph.unlike(shapes, graph.last)
        try:
            graph.request.start_async(small, share_inputs=True)
        except RuntimeError:
            return False
        end = InferenceEnd(graph.request.wait, self._waiter)
        graph.last = {index: value.shape for index, value in small.items()}
        return await end.settled() is None

    def _break(self, graph: Graph) -> None:
        """A failed inference can poison the whole compiled graph: nothing more runs on it."""
        if self._graph is graph:
            self._graph = None


def _as_declared(value: Tensor, shape: Shape) -> Tensor:
    """Of an input that is one value for all rows: that value. Only rows that have the same are joined."""
    return value[:1].reshape(shape) if is_shared(shape) else value


def _precision(compiled: Any) -> str:
    """How the device calculates; virtual devices, as AUTO, do not say."""
    try:
        return short_precision(str(compiled.get_property("INFERENCE_PRECISION_HINT").to_string()))
    except RuntimeError:
        return "unknown"


def short_precision(told: str) -> str:
    """ "f32", "bf16" or "f16", however OpenVINO spells it."""
    return {"bfloat16": "bf16", "float16": "f16", "float32": "f32", "float": "f32"}.get(told, told)
