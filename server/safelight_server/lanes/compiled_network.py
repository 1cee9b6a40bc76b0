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
from .inference_end import InferenceEnd
from .network import Shape, Tensor, is_shared

log = logging.getLogger(__name__)


class _Graph:
    """What one compilation gives. It is replaced as a whole: an inference that runs keeps the one that it began on."""

    def __init__(self, compiled: Any, outputs: Sequence[str]) -> None:
        self.compiled, self.request = compiled, compiled.create_infer_request()
        self.inputs: dict[str, tuple[int, Any]] = {
            name: (index, port.element_type.to_dtype())
            for index, port in enumerate(compiled.inputs)
            for name in port.names or {str(index)}  # only graphs that Optimum wrote are sure to have names
        }
        self.ports = {name: compiled.output(name) for name in outputs} or {
            min(port.names, default=str(index)): port for index, port in enumerate(compiled.outputs)
        }
        self.shapes = {name: _shape(compiled.inputs[index]) for name, (index, _) in self.inputs.items()}
        self.shared = {index for name, (index, _) in self.inputs.items() if is_shared(self.shapes[name])}
        self.last: dict[int, Shape] = {}  # shapes of the last inference that ended
        self.ran: set[tuple[Shape, ...]] = set()  # the shapes of all that ended
        self.smallest: dict[int, Tensor] | None = None  # inputs, all zeros, as small as the smallest that ever ran

    def note(self, given: dict[int, Tensor], shapes: dict[int, Shape]) -> None:
        """An inference of these inputs has ended."""
        self.last = shapes
        self.ran.add(tuple(shapes.values()))
        if self.smallest is None or _size(given) < _size(self.smallest):
            self.smallest = {index: np.zeros_like(value[:1] if value.ndim else value) for index, value in given.items()}

    def unlike(self, *others: dict[int, Shape]) -> dict[int, Tensor]:
        """Small inputs of other shapes than these."""
        assert self.smallest is not None
        for rows in range(1, len(others) + 2):
            small = {index: self._repeated(index, value, rows) for index, value in self.smallest.items()}
            if {index: value.shape for index, value in small.items()} not in others:
                return small
        raise AssertionError("one of so many differs from all")

    def _repeated(self, index: int, value: Tensor, rows: int) -> Tensor:
        return value if index in self.shared else np.repeat(value, rows, axis=0)


class CompiledNetwork:
    """A Network in this process: a compiled graph and its one infer request.

    `compile` gives the compiled graph, and is called again to heal a network that has failed.
    `outputs` names the outputs that are worth copying out; all of them if there are none. `weights` is the file that
    the graph's constants are read from.
    """

    def __init__(
        self, name: str, compile: Callable[[], Any], outputs: Sequence[str] = (), weights: Path | None = None
    ) -> None:
        self.name = name
        self._compile = compile
        self._outputs = tuple(outputs)
        self._weights = weights
        # A thread of its own to wait in: the pool that reads and writes pictures may be full.
        self._waiter = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._graph: _Graph | None = None
        self.buffers = Buffers()
        self.load()

    def load(self) -> None:
        """Compiles the graph, or compiles it anew; blocks for seconds. Until that is done, the network is `broken`."""
        self._graph = None  # before the next one is made: there may be memory for one alone
        self._graph = graph = _Graph(self._compile(), self._outputs)
        self.buffers = Buffers()
        self.shapes, self.precision = graph.shapes, _precision(graph.compiled)

    @property
    def broken(self) -> bool:
        return self._graph is None

    def trim(self) -> None:
        """Gives back the buffers of the largest shape that it ran at: the next inference takes what it needs anew."""
        if self._graph is not None:
            self._graph.compiled.release_memory()
            self.buffers.give_back()

    def close(self) -> None:
        """Drops the compiled graph, and with it its weights; blocks until an inference that runs has ended."""
        self._waiter.shutdown()
        self._graph = None

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
            end = InferenceEnd(graph.request, self._waiter)
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

    async def _stop(self, graph: _Graph, shapes: dict[int, Shape], end: InferenceEnd) -> None:
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

    async def _flush(self, graph: _Graph, shapes: dict[int, Shape]) -> bool:
        """Runs the graph at a small shape of its own; whether that worked."""
        if graph.smallest is None:
            return False
        small = graph.unlike(shapes, graph.last)
        try:
            graph.request.start_async(small, share_inputs=True)
        except RuntimeError:
            return False
        end = InferenceEnd(graph.request, self._waiter)
        graph.last = {index: value.shape for index, value in small.items()}
        return await end.settled() is None

    def _break(self, graph: _Graph) -> None:
        """A failed inference can poison the whole compiled graph: nothing more runs on it."""
        if self._graph is graph:
            self._graph = None


def _as_declared(value: Tensor, shape: Shape) -> Tensor:
    """Of an input that is one value for all rows: that value. Only rows that have the same are joined."""
    return value[:1].reshape(shape) if is_shared(shape) else value


def _size(inputs: Mapping[int, Tensor]) -> int:
    return sum(value.size for value in inputs.values())


def _shape(port: Any) -> Shape:
    """-1 for a dimension of any size."""
    return tuple(size.get_length() if size.is_static else -1 for size in port.partial_shape)


def _precision(compiled: Any) -> str:
    """How the device calculates, as OpenVINO spells it; virtual devices, as AUTO, do not say."""
    try:
        return str(compiled.get_property("INFERENCE_PRECISION_HINT").to_string())
    except RuntimeError:
        return "unknown"
