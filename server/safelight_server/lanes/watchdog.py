"""Notices an inference that hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

# An inference that takes longer than both is hung: so many times what it usually takes, and so many seconds.
FACTOR, SECONDS = 10.0, 30.0


def limit(usual: float) -> float:
    """Seconds after which an inference is hung that usually takes `usual` seconds; 0.0: nobody knows."""
    return max(SECONDS, FACTOR * usual)


async def watch(inference: Coroutine[Any, Any, T], seconds: float, on_hang: Callable[[bool], None]) -> T:
    """What the inference gives. One that takes longer than `seconds` is cancelled, and `on_hang(True)` is called;
    `on_hang(False)` is called once it has really ended, which may be never."""
    # A timer beside the task that awaits this, for a task of its own for each inference costs turns of the loop.
    task, hung = asyncio.current_task(), False
    assert task is not None

    def late() -> None:
        nonlocal hung
        hung = True
        on_hang(True)
        task.cancel()

    timer = asyncio.get_running_loop().call_later(seconds, late)
    try:
        return await inference
    finally:
        timer.cancel()
        if hung:
            on_hang(False)
