"""Jobs that finish while others, who wait in the queue for their place, cancel at any time."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator

import grpc

from abusing.calls import GENERATE, ask, channel, ended, job, run
from abusing.finding import Effort, Finding, at_least, at_most
from abusing.process import VEGA, Server

WORKERS = 6  # of each kind


def measure(effort: Effort) -> Iterator[Finding]:
    with Server(VEGA, "--slots=1", "--queue=64", "--no-verify") as server:
        stayed, left = run(_both(server.address, effort.pick(40.0, 5.0)))
    yield at_least("neighbours that cancelled in time", left["CANCELLED"], 10, control=True)
    yield at_least("jobs of others that finished meanwhile", stayed["OK"], 5, control=True)
    yield at_most(f"INTERNAL answers, of {stayed.total()}", stayed["INTERNAL"] + left["INTERNAL"], 0)
    others = stayed.total() - stayed["OK"]
    yield at_most("other failures of those who stayed", others - stayed["INTERNAL"], 0)


async def _both(address: str, seconds: float) -> tuple[Counter[str], Counter[str]]:
    """What became of the calls of those who stay, and of those who leave."""
    stayed: Counter[str] = Counter()
    left: Counter[str] = Counter()
    async with channel(address) as one, channel(address) as other:
        until = time.monotonic() + seconds
        staying = [_stay(one, until, stayed, place) for place in range(WORKERS)]
        leaving = [_leave(other, until, left, place) for place in range(WORKERS)]
        await asyncio.gather(*staying, *leaving)
    return stayed, left


async def _stay(connection: grpc.aio.Channel, until: float, told: Counter[str], place: int) -> None:
    while time.monotonic() < until:
        told[await ended(ask(connection, GENERATE, job(seed=place).SerializeToString(), timeout=60))] += 1


async def _leave(connection: grpc.aio.Channel, until: float, told: Counter[str], place: int) -> None:
    """Cancels somewhere between at once and about when its turn has come."""
    chance = random.Random(place)
    usual = 0.5  # seconds that a job takes here: learnt from those that were not cancelled in time
    while time.monotonic() < until:
        began = time.monotonic()
        call = ask(connection, GENERATE, job(seed=100 + place).SerializeToString(), timeout=60)
        answer = asyncio.create_task(_ended(call))
        await asyncio.wait([answer], timeout=chance.uniform(0, 1.2 * usual))
        in_time = not answer.done()
        call.cancel()
        code = await answer
        told[code] += 1
        took = time.monotonic() - began
        usual = 0.8 * usual + 0.2 * (took if not in_time else 1.2 * usual)


async def _ended(call: grpc.aio.UnaryUnaryCall[bytes, bytes]) -> str:
    """Unlike `ended`, of a call that we cancel ourselves."""
    try:
        await call
    except asyncio.CancelledError:
        return "CANCELLED"
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"
