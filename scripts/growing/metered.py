"""Our server with two meters: python -m growing.metered serve ... writes a line for each reading to $GROWTH_METER.

A line is when (time.monotonic, which all processes share), what, seconds, rows. "lag" is how long a call from another
thread waited for the event loop; "unet" and "other" are how long OpenVINO itself took for an inference.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from benchmark.metered import on_inference
from safelight_server.__main__ import main

VARIABLE = "GROWTH_METER"
EVERY = 0.005  # seconds between two looks at the event loop


def put_meters(path: str) -> None:
    """From now on, every inference that is waited for and every look at the event loop adds a line to the file."""
    file = open(path, "a", encoding="ascii", buffering=1)  # noqa: SIM115 - open as long as the process
    on_inference(lambda network, seconds, rows: file.write(f"{time.monotonic()} {network} {seconds} {rows}\n"))
    run = asyncio.run

    def watched(work: Coroutine[Any, Any, Any]) -> Any:
        return run(_beside(work, file))

    asyncio.run = watched  # type: ignore[assignment] # the server calls it once, with its work alone


async def _beside(work: Coroutine[Any, Any, Any], file: TextIO) -> Any:
    with looking_at(asyncio.get_running_loop(), file):
        return await work


@contextmanager
def looking_at(loop: asyncio.AbstractEventLoop, file: TextIO) -> Iterator[None]:
    """A thread that calls the loop as lanes do, all the time. A timer of the loop's own is rounded to milliseconds."""
    over = threading.Event()

    def heard(called: float) -> None:
        now = time.monotonic()
        file.write(f"{now} lag {now - called} 0\n")

    def look() -> None:
        with suppress(RuntimeError):  # the loop is closed
            while not over.wait(EVERY):
                loop.call_soon_threadsafe(heard, time.monotonic())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()


if __name__ == "__main__":
    put_meters(os.environ[VARIABLE])
    main()
