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
from .network import Shape, Tensor

log = logging.getLogger(__name__)


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
        self.broken = False
        self._compile = compile
        self._outputs = tuple(outputs)
        self._weights = weights
        # A thread of its own to wait in: the pool that reads and writes pictures may be full.
        self._waiter = ThreadPoolExecutor(1, thread_name_prefix=name)
        self.load()

    def load(self) -> None:
        """Compiles the graph, or compiles it anew; blocks for seconds."""
        self._compiled = compiled = self._compile()
        self._request = compiled.create_infer_request()
        self._inputs: dict[str, tuple[int, Any]] = {
            name: (index, port.element_type.to_dtype())
            for index, port in enumerate(compiled.inputs)
            for name in port.names or {str(index)}  # only graphs that Optimum wrote are sure to have names
        }
        self._ports = {name: compiled.output(name) for name in self._outputs} or {
            min(port.names, default=str(index)): port for index, port in enumerate(compiled.outputs)
        }
        self.shapes: dict[str, Shape] = {
            name: _shape(compiled.inputs[index]) for name, (index, _) in self._inputs.items()
        }
        self._shapes: dict[int, Shape] = {}  # of the last inference that ended
        self.precision = _precision(compiled)
        self._ran = False
        self.broken = False

    def trim(self) -> None:
        """Gives back the buffers of the largest shape that it ran at: the next inference takes what it needs anew."""
        self._compiled.release_memory()

    def close(self) -> None:
        """Drops the compiled graph, and with it its weights; blocks until an inference that runs has ended."""
        self._waiter.shutdown()
        self.broken = True
        del self._request, self._compiled, self._ports, self._compile

    @property
    def from_cache(self) -> bool:
        """Whether the device took it from the cache folder, and compiled nothing."""
        return bool(self._compiled.get_property("LOADED_FROM_CACHE"))

    @property
    def input(self) -> str:
        """The name of the first input, which is the only one of most graphs."""
        return next(iter(self._inputs))

    async def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Runs the graph once. A cancelled task stops it inside the graph and leaves the request ready for the next.

        Raises InferenceFailed, after which the network is `broken` until `load` is called.
        """
        ports = {name: self._inputs[name] for name in inputs}
        given = {index: np.ascontiguousarray(inputs[name], type) for name, (index, type) in ports.items()}
        shapes = {index: value.shape for index, value in given.items()}
        try:
            # start_async and wait only: with one thread the synchronous infer() has returned the output of the request
            # before in place of an error, and no callback fires for a request that was cancelled.
            self._request.start_async(given, share_inputs=True)
            waiting = asyncio.get_running_loop().run_in_executor(self._waiter, self._request.wait)
            await asyncio.shield(waiting)
        except asyncio.CancelledError:
            # Not on the way from one shape to another: a graph that is stopped there keeps some nodes at the new shape
            # and some at the old, and its next inferences fail or mix them up. The first step of a shape runs out.
            if steady := shapes == self._shapes:
                with suppress(RuntimeError):  # of devices that cannot stop: their inference runs out
                    self._request.cancel()
            failure = await _settled(waiting)
            if not steady:
                self._shapes, self.broken = shapes, failure is not None
            raise
        except Exception as error:
            # A failed inference can poison the whole compiled graph: nothing more runs on it until it is compiled anew.
            self.broken = True
            log.exception("network %s failed", self.name)
            raise InferenceFailed(self.name) from error
        self._shapes = shapes
        if self._weights and not self._ran:
            weight_pages.let_go(self._weights)
        self._ran = True
        # Copies, for the next inference overwrites the request's own.
        return {name: self._request.get_tensor(port).data.copy() for name, port in self._ports.items()}


def _shape(port: Any) -> Shape:
    """-1 for a dimension of any size."""
    return tuple(size.get_length() if size.is_static else -1 for size in port.partial_shape)


def _precision(compiled: Any) -> str:
    """How the device calculates, as OpenVINO spells it; virtual devices, as AUTO, do not say."""
    try:
        return str(compiled.get_property("INFERENCE_PRECISION_HINT").to_string())
    except RuntimeError:
        return "unknown"


async def _settled(waiting: asyncio.Future[Any]) -> BaseException | None:
    """Waits for the end of an inference, however often the task is cancelled meanwhile; what it failed with, if so."""
    while not waiting.done():
        try:
            await asyncio.wait({waiting})
        except asyncio.CancelledError:
            continue
    return waiting.exception()
