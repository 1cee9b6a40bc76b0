"""More idle connections than the server may have open files."""

from __future__ import annotations

import asyncio
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

from abusing.calls import channel, check, run
from abusing.finding import Effort, Finding, at_least, at_most
from abusing.frames import PREFACE, SETTINGS, frame
from abusing.process import Server

FILES = 256
IDLE = 400


def measure(effort: Effort) -> Iterator[Finding]:
    yield from _idle("that sent nothing", b"", 10)
    if not effort.quick:
        yield from _idle("that make no call", PREFACE + frame(SETTINGS, 0, 0, b""), 60)


def _idle(which: str, sent: bytes, bound: float) -> Iterator[Finding]:
    """`bound`: the seconds after which the server ends such a connection, as docs/operations.md says."""
    with Server("--no-verify", before=_few_files) as server, ExitStack() as stack:
        host, port = server.address.split(":")
        for _ in range(IDLE):
            connection = stack.enter_context(closing(socket.create_connection((host, int(port)), timeout=10)))
            connection.sendall(sent)
        old, new = run(_served(server.address, bound + 60))
        yield at_least(f"connections {which}, of a server with {FILES} files", IDLE, FILES, control=True)
        yield at_most(f"{IDLE} {which}: until a new connection is served", new, bound + 5, " s")
        yield at_most("and the same connection again", old, 1, " s")


async def _served(address: str, patience: float) -> tuple[float, float]:
    """Seconds for a second check on a connection, and for the first, which may have to try again."""
    began = time.monotonic()
    while time.monotonic() - began < patience:
        async with channel(address) as connection:
            _, code = await check(connection, 3)
            new = time.monotonic() - began
            if code == "OK":
                old, code = await check(connection, 3)
                return (old if code == "OK" else float("inf")), new
        await asyncio.sleep(0.2)
    return float("inf"), float("inf")


def _few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
