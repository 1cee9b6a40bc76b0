"""A second SIGTERM; readers who stand still while the server leaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from safelight.v1 import images_pb2 as pb

from abusing.calls import ALL, STREAM, channel, job, listen, run
from abusing.finding import Effort, Finding, at_most
from abusing.frames import BareClient
from abusing.process import Server

GRACE = 2
MORE = 5  # seconds beyond that
LONG: dict[str, Any] = {"width": 512, "height": 512, "steps": 50, "num_images": 16}


def measure(effort: Effort) -> Iterator[Finding]:
    with Server("--no-verify", "--grace=600") as server:
        first, second = run(_twice(server))
    yield Finding(
        "after one SIGTERM and a second, with a job of minutes and 600 s of grace",
        "runs on" if first == float("inf") else f"ended after {first:.1f} s",
        "runs on",
        first == float("inf"),
        control=True,
    )
    yield at_most("from the second SIGTERM to the end", second, 1, " s")
    with Server("--no-verify", f"--grace={GRACE}") as server, ExitStack() as stack:
        for seed in range(3):
            reader = stack.enter_context(BareClient(server.address, 0))
            request = pb.StreamRequest(generate=job(seed=seed, steps=5))
            reader.call(STREAM, request.SerializeToString())
        time.sleep(effort.pick(5, 2))
        server.signal()
        took = server.seconds_to_end(GRACE + 30)
    yield at_most(
        f"from SIGTERM to the end, three readers who take nothing, {GRACE} s of grace", took, GRACE + MORE, " s"
    )


async def _twice(server: Server) -> tuple[float, float]:
    """How long it lives after the first SIGTERM, within a second; and after the second."""
    async with channel(server.address) as connection:
        request = pb.StreamRequest(generate=job(**LONG)).SerializeToString()
        call = listen(connection, STREAM, request, metadata=ALL)
        async for message in call:
            if pb.StreamResponse.FromString(message).HasField("started"):
                break
        server.signal()
        first = await asyncio.to_thread(server.seconds_to_end, 1)
        server.signal()
        second = await asyncio.to_thread(server.seconds_to_end, 20)
        call.cancel()
        return first, second
