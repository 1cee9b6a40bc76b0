"""The end of work in a thread: a task hears of it, also after the task was cancelled. An inference is such work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress


class InferenceEnd:
    """Of `wait`, which returns when an inference has ended; `waiter` has the thread for it.

    A future of the loop's own, for asyncio's chain of futures and shields costs three more turns of the loop: for the
    small networks of small models that is as much as the inference itself.
    """

    def __init__(self, wait: Callable[[], object], waiter: Executor) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = False
        self._error: Exception | None = None
        self._told: asyncio.Future[None] | None = None  # of the task that waits right now
        waiter.submit(self._wait, wait)

    def _wait(self, wait: Callable[[], object]) -> None:
        try:
            wait()
        except Exception as error:
            self._error = error
        self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        self._over = True
        if self._told is not None and not self._told.done():
            self._told.set_result(None)

    async def reached(self) -> None:
        """Waits for it. Raises what the inference failed with. One task at a time; cancelling it ends nothing."""
        if not self._over:
            self._told = self._loop.create_future()
            await self._told
        if self._error is not None:
            raise self._error

    async def settled(self) -> Exception | None:
        """Waits for it, however often the task is cancelled meanwhile; what the inference failed with, if it did."""
        while not self._over:
            with suppress(asyncio.CancelledError, Exception):
                await self.reached()
        return self._error
