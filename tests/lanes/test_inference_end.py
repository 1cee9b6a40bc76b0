"""The end of an inference, as a task hears of it: once, or again after it was cancelled there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from safelight_server.lanes.inference_end import InferenceEnd


class Request:
    """An infer request that ends when `gate` is set, and fails if it is to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.gate, self.error = threading.Event(), error

    def wait(self) -> None:
        assert self.gate.wait(60)
        if self.error is not None:
            raise self.error


def run(request: Request, test: Callable[[InferenceEnd], Awaitable[None]]) -> None:
    async def main() -> None:
        await test(InferenceEnd(request.wait, waiter))

    with ThreadPoolExecutor(1) as waiter:
        try:
            asyncio.run(main())
        finally:
            request.gate.set()


def test_it_is_heard_of_while_a_task_waits_and_afterwards() -> None:
    request = Request()

    async def test(end: InferenceEnd) -> None:
        waiting = asyncio.create_task(end.reached())
        await asyncio.sleep(0)
        assert not waiting.done()
        request.gate.set()
        await waiting
        await end.reached()
        assert await end.settled() is None

    run(request, test)


def test_what_it_failed_with_is_raised_or_told() -> None:
    request = Request(RuntimeError("no room"))

    async def test(end: InferenceEnd) -> None:
        request.gate.set()
        with pytest.raises(RuntimeError, match="no room"):
            await end.reached()
        assert str(await end.settled()) == "no room"

    run(request, test)


def test_a_task_that_is_cancelled_again_and_again_still_waits_for_the_real_end() -> None:
    request = Request(RuntimeError("stopped"))

    async def test(end: InferenceEnd) -> None:
        waiting = asyncio.create_task(end.reached())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        settling = asyncio.create_task(end.settled())
        for _ in range(3):
            await asyncio.sleep(0)
            settling.cancel()
            await asyncio.sleep(0)
            assert not settling.done()
        request.gate.set()
        assert str(await settling) == "stopped"

    run(request, test)
