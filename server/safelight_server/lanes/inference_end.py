"""The end of one inference: a thread waits for it, and a task hears of it, also after the task was cancelled there."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any


class InferenceEnd:
    """Of an infer request that was just started; `waiter` has the thread that waits.

    A future of the loop's own, for asyncio's chain of futures and shields costs three more turns of the loop: for the
    small networks of small models that is as much as the inference itself.
    """

    def __init__(self, request: Any, waiter: Executor) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = False
        self._error: Exception | None = None
        self._told: asyncio.Future[None] | None = None  # of the task that waits right now
        waiter.submit(self._wait, request)

    def _wait(self, request: Any) -> None:
        try:
            request.wait()
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
