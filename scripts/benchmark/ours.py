"""What can be timed of our server: over gRPC, by the Python client, in this process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np
from safelight import Preview, Previews, Progress, Result

from .asked import Asked
from .server import Server


class Watched(NamedTuple):
    """Seconds to the end, how many previews came, and the seconds of each step as the server told them."""

    seconds: float
    previews: int
    steps: list[float]


class Ours:
    """What is timed of Safelight, by a client in this process."""

    def __init__(self, server: Server) -> None:
        self._server = server
        try:
            self.client = server.ready()
        except BaseException:
            server.close()
            raise

    def result(self, asked: Asked) -> Result:
        return self.client.generate(asked.prompt, **asked.options())

    def pictures(self, asked: Sequence[Asked]) -> list[Any]:
        return [np.asarray(self.result(one).image) for one in asked]

    def draw(self, asked: Asked) -> float:
        """Seconds to the bytes of a file."""
        began = time.perf_counter()
        self.result(asked)
        return time.perf_counter() - began

    def first_preview(self, asked: Asked, previews: Previews) -> float:
        """Seconds to the first preview; the job is cancelled then."""
        began = time.perf_counter()
        with self.client.stream(asked.prompt, previews=previews, **asked.options()) as events:
            for event in events:
                if isinstance(event, Preview):
                    return time.perf_counter() - began
        raise RuntimeError(f"no preview came of {asked}")

    def watched(self, asked: Asked, previews: Previews) -> Watched:
        """A stream, read to its end."""
        began = time.perf_counter()
        with self.client.stream(asked.prompt, previews=previews, **asked.options()) as events:
            told = list(events)
            took = time.perf_counter() - began
        steps = [event.step_time for event in told if isinstance(event, Progress)]
        return Watched(took, sum(isinstance(event, Preview) for event in told), steps)

    def first_step(self, asked: Asked, cancelled: tuple[Asked, float] | None = None) -> float:
        """Seconds until a job's first step is told, from when it was sent.

        `cancelled`: another job runs when it is sent, and is cancelled so many seconds after its own first step.
        """
        if cancelled is None:
            return self._told(asked, time.perf_counter())
        other, after = cancelled
        with self.client.stream(other.prompt, previews=0, **other.options()) as running:
            next(event for event in running if isinstance(event, Progress))
            time.sleep(after)
            began = time.perf_counter()
            running.cancel()
            return self._told(asked, began)

    def _told(self, asked: Asked, began: float) -> float:
        with self.client.stream(asked.prompt, previews=0, **asked.options()) as events:
            next(event for event in events if isinstance(event, Progress))
            took = time.perf_counter() - began
            events.final()
        return took

    def together(self, callers: Sequence[tuple[Sequence[Asked], float]]) -> list[float]:
        """When each caller had all pictures, in seconds after the first one came; each says what it asks, and when."""
        began = time.perf_counter()

        def call(caller: tuple[Sequence[Asked], float]) -> float:
            asked, start = caller
            time.sleep(max(0.0, began + start - time.perf_counter()))
            for one in asked:
                self.result(one)
            return time.perf_counter() - began

        with ThreadPoolExecutor(len(callers)) as pool:
            return list(pool.map(call, callers))

    def close(self) -> None:
        with closing(self._server):
            self.client.close()
