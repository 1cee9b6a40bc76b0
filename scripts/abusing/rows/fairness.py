"""One client with forty calls at a time beside five with one each; and one who waits while another holds all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import grpc
from safelight.v1 import images_pb2 as pb

from abusing.calls import ALL, STREAM, channel, job, listen, run
from abusing.finding import Effort, Finding, at_least, at_most, jain, number, percentile
from abusing.plain import COMMAND
from abusing.process import Asker, Server, ask_together

FEW = 5  # clients with one call at a time
GREEDY = 40  # calls at a time, of one
LONG: dict[str, Any] = {"width": 128, "height": 128, "steps": 150, "model": "demo-xl"}
HELD = 16  # long jobs of one connection


def measure(effort: Effort) -> Iterator[Finding]:
    with Server(command=COMMAND) as plain:
        shares = _shares(plain.address, 3.0)
    yield at_most("first come first served: Jain's index", jain(shares), 0.5, control=True)
    with Server("--no-verify") as server:
        shares = _shares(server.address, effort.pick(40.0, 8.0))
        told = f"{number(shares[0])} to the greedy, {', '.join(map(number, shares[1:]))} to the others"
        yield at_least(f"Jain's index ({told})", jain(shares), 0.9)
        counts, waits = run(_waits(server.address, effort.pick(15, 3)))
    yield at_most("others' steps before an interactive job's first, median", percentile(counts, 0.5), 1)
    yield at_most(f"the most of {len(counts)}: one runs, and one's news are on their way", max(counts), 2)
    yield at_most("the wait in time, over a step of the others, p90", percentile(waits, 0.9), 1)


def _shares(address: str, seconds: float) -> list[float]:
    """The jobs that each client had done in that time, the greedy one first."""
    work = {"steps": 4}
    askers = [Asker(address, streams=streams, seconds=seconds, job=work) for streams in (GREEDY, *[1] * FEW)]
    calls = ask_together(askers, seconds + 120)
    return [float(sum(c["code"] == "OK" and c["ended"] <= seconds for c in told)) for told in calls]


class Holder:
    """Long jobs of one connection, and the moments when it hears of their steps."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.step_times: list[float] = []
        self.busy = asyncio.Event()  # there are enough steps to know how long they take

    async def draw(self, connection: grpc.aio.Channel, seed: int) -> None:
        async for told in _events(connection, **LONG, seed=seed):
            if told.HasField("progress"):
                self.steps.append(time.monotonic())
                self.step_times.append(told.progress.step_time.ToTimedelta().total_seconds())
                if len(self.steps) > 20:
                    self.busy.set()


async def _waits(address: str, count: int) -> tuple[list[float], list[float]]:
    """Of each interactive job: others' steps before its first, and the wait over a step of the others."""
    holder, counts, waits = Holder(), [], []
    async with channel(address) as greedy, channel(address) as other:
        async for _ in _events(other):  # what is done once, such as the first connection
            pass
        held = [asyncio.create_task(holder.draw(greedy, seed)) for seed in range(HELD)]
        try:
            await asyncio.wait_for(holder.busy.wait(), 60)
            for place in range(count):
                began = time.monotonic()
                first, own = await _first_step(other, place)
                counts.append(float(sum(began < at < first for at in holder.steps)))
                waits.append((first - began - own) / percentile(holder.step_times[-20:], 0.5))
                await asyncio.sleep(0.1 + 0.037 * place)
        finally:
            for task in held:
                task.cancel()
            await asyncio.gather(*held, return_exceptions=True)
    return counts, waits


async def _first_step(connection: grpc.aio.Channel, seed: int) -> tuple[float, float]:
    """Of an interactive job: when its first step was done, and how long that took."""
    found = []
    async for told in _events(connection, priority=pb.PRIORITY_INTERACTIVE, seed=seed):
        if told.HasField("progress"):
            found.append((time.monotonic(), told.progress.step_time.ToTimedelta().total_seconds()))
    return found[0]


async def _events(connection: grpc.aio.Channel, **fields: Any) -> Any:
    request = pb.StreamRequest(generate=job(**fields), preview=pb.PreviewOptions(every_steps=0))
    call = listen(connection, STREAM, request.SerializeToString(), metadata=ALL)
    async for message in call:
        yield pb.StreamResponse.FromString(message)
