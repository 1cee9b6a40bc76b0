"""The signals that end the process: the first one asks it to leave, the second one ends it at once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

# Windows has no SIGTERM that another process could send; Ctrl-Break is what its services and consoles have.
ENDING = (signal.SIGTERM, signal.SIGINT, *((signal.SIGBREAK,) if hasattr(signal, "SIGBREAK") else ()))


def first_signal(on_first: Callable[[], None]) -> asyncio.Future[None]:
    """Done at the first signal, after `on_first` was called in the loop. To be asked for in the main thread."""
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[None] = loop.create_future()

    def on_signal() -> None:
        for number in ENDING:
            _take_back(loop, number)
        if not stop.done():
            on_first()
            stop.set_result(None)

    for number in ENDING:
        _take(loop, number, on_signal)
    return stop


def _take(loop: asyncio.AbstractEventLoop, number: int, on_signal: Callable[[], None]) -> None:
    def wake(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(on_signal)  # asyncio's own wakeup lets Python come to this handler while it waits

    try:
        loop.add_signal_handler(number, on_signal)
    except NotImplementedError:  # Windows
        signal.signal(number, wake)


def _take_back(loop: asyncio.AbstractEventLoop, number: int) -> None:
    """From now on the system ends the process by itself, so that nothing in here can be in the way."""
    with suppress(NotImplementedError):
        loop.remove_signal_handler(number)
    signal.signal(number, signal.SIG_DFL)
