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
    running, hung = asyncio.create_task(inference), False
    try:
        ended, _ = await asyncio.wait({running}, timeout=seconds)
        if hung := not ended:
            on_hang(True)
            running.cancel()
        return await running
    finally:
        running.cancel()  # if whoever watches was cancelled; an inference that has ended stays as it is
        await asyncio.wait({running})
        if hung:
            on_hang(False)
