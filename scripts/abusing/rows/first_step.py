"""A job of a size that is new is cancelled while its first step runs: how soon the lane is free for the next."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator

import grpc
from safelight.v1 import images_pb2 as pb

from abusing.calls import GENERATE, STREAM, ask, channel, job, listen, run, seconds
from abusing.finding import Effort, Finding, at_least, at_most, percentile
from abusing.process import Server

LEAST, MOST, MULTIPLE = 512, 768, 8  # pixels: steps that are long beside everything else


def measure(effort: Effort) -> Iterator[Finding]:
    with Server("--no-verify") as server:
        step, waits = run(_waits(server.address, effort.pick(40, 5)))
    yield at_least("a whole step of such a size", 1000 * step, 100, " ms", control=True)
    yield at_most(f"until the lane is free, median of {len(waits)}", 1000 * percentile(waits, 0.5), 100, " ms")
    yield at_most("until the lane is free, p99", 1000 * percentile(waits, 0.99), 100, " ms")
    yield at_most("p99 over a step", percentile(waits, 0.99) / step, 0.25)


async def _waits(address: str, count: int) -> tuple[float, list[float]]:
    """The seconds of a step; and of each cancel, how much later than usual a small job was done that came then."""
    chance = random.Random(7)
    sizes = [(w, h) for w in range(LEAST, MOST, MULTIPLE) for h in range(LEAST, MOST, MULTIPLE)]
    waits = []
    async with channel(address) as connection:
        await _first_step(connection, (LEAST, MOST))
        steps = [await _first_step(connection, size) for size in chance.sample(sizes, 3)]
        step = percentile(steps, 0.5)
        for size in chance.sample(sizes, count):
            usual = min([await _small(connection) for _ in range(3)])
            leaving = asyncio.create_task(_first_step(connection, size, leave=True))
            await leaving  # it has begun
            took = await _small(connection)
            waits.append(max(0.0, took - usual))
    return step, waits


async def _small(connection: grpc.aio.Channel) -> float:
    took, code = await seconds(ask(connection, GENERATE, job().SerializeToString(), timeout=60))
    return took if code == "OK" else float("inf")


async def _first_step(connection: grpc.aio.Channel, size: tuple[int, int], leave: bool = False) -> float:
    """How long the first step of a job takes; or the job is cancelled as that begins, and a little later."""
    request = pb.StreamRequest(generate=job(width=size[0], height=size[1], steps=2))
    call = listen(connection, STREAM, request.SerializeToString(), timeout=120)
    async for message in call:
        told = pb.StreamResponse.FromString(message)
        if told.HasField("started") and leave:
            await asyncio.sleep(random.Random(size[0] + size[1]).uniform(0.03, 0.15))
            break
        if told.HasField("progress"):
            call.cancel()
            return told.progress.step_time.ToTimedelta().total_seconds()
    call.cancel()
    return time.monotonic()
