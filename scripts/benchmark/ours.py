"""What can be timed of our server: over gRPC, by the Python client, in this process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np
from safelight import Preview, Previews, Progress, Result

from .request import Request
from .server import Server


class Watched(NamedTuple):
    """Seconds to the end, how many previews came, and the seconds of each step as the server measured them."""

    seconds: float
    previews: int
    steps: list[float]


class Ours:
    """What is timed of Safelight, by a client in this process. `close` stops the server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        try:
            self.client = server.ready()
        except BaseException:
            server.close()
            raise

    def result(self, request: Request) -> Result:
        return self.client.generate(request.prompt, **request.options())

    def pictures(self, requests: Sequence[Request]) -> list[Any]:
        """The pictures, each uint8 (height, width, 3)."""
        return [np.asarray(self.result(one).image) for one in requests]

    def draw(self, request: Request) -> float:
        """Seconds to the bytes of a file."""
        began = time.perf_counter()
        self.result(request)
        return time.perf_counter() - began

    def first_preview(self, request: Request, previews: Previews) -> float:
        """Seconds to the first preview; the job is cancelled then."""
        began = time.perf_counter()
        with self.client.stream(request.prompt, previews=previews, **request.options()) as events:
            for event in events:
                if isinstance(event, Preview):
                    return time.perf_counter() - began
        raise RuntimeError(f"no preview came of {request}")

    def watch(self, request: Request, previews: Previews) -> Watched:
        """A stream, read to its end."""
        began = time.perf_counter()
        with self.client.stream(request.prompt, previews=previews, **request.options()) as events:
            seen = list(events)
            took = time.perf_counter() - began
        steps = [event.step_time for event in seen if isinstance(event, Progress)]
        return Watched(took, sum(isinstance(event, Preview) for event in seen), steps)

    def first_step(self, request: Request, cancelled: tuple[Request, float] | None = None) -> float:
        """Seconds from sending a request to the event of its first step.

        `cancelled`: another request runs when this one is sent, and is cancelled then, so many seconds after its own
        first step.
        """
        if cancelled is None:
            return self._first_step(request, time.perf_counter())
        other, after = cancelled
        with self.client.stream(other.prompt, previews=0, **other.options()) as running:
            next(event for event in running if isinstance(event, Progress))
            time.sleep(after)
            began = time.perf_counter()
            running.cancel()
            return self._first_step(request, began)

    def _first_step(self, request: Request, began: float) -> float:
        with self.client.stream(request.prompt, previews=0, **request.options()) as events:
            next(event for event in events if isinstance(event, Progress))
            took = time.perf_counter() - began
            events.final()
        return took

    def together(self, callers: Sequence[tuple[Sequence[Request], float]]) -> list[float]:
        """When each caller had all its pictures, in seconds after the first caller began.

        A caller is its requests, sent one after the other, and when it begins, in seconds after the first one.
        """
        began = time.perf_counter()

        def call(caller: tuple[Sequence[Request], float]) -> float:
            requests, start = caller
            time.sleep(max(0.0, began + start - time.perf_counter()))
            for one in requests:
                self.result(one)
            return time.perf_counter() - began

        with ThreadPoolExecutor(len(callers)) as pool:
            return list(pool.map(call, callers))

    def close(self) -> None:
        with closing(self._server):
            self.client.close()
