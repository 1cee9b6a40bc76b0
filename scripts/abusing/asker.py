"""A client process: python -m abusing.asker ADDRESS '{"streams": 4, "seconds": 10, "job": {...}}'; prints its calls.

With "job": null, its calls are checks of health.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

import grpc

from .calls import GENERATE, HEALTH, ask, channel, job

BETWEEN = 0.1  # seconds before one that was refused asks again


class Calls:
    """Asks for one job again and again, or after the health, and keeps what became of each call."""

    def __init__(self, connection: grpc.aio.Channel, fields: dict[str, Any] | None, deadline: float | None) -> None:
        self._connection = connection
        self._fields, self._deadline = fields, deadline
        self._seed = os.getpid() * 1000  # calls that ask for the same share one job
        self.began = time.monotonic()
        self.told: list[dict[str, Any]] = []

    async def one(self) -> str:
        self._seed += 1
        message = b"" if self._fields is None else job(**{**self._fields, "seed": self._seed}).SerializeToString()
        method = HEALTH if self._fields is None else GENERATE
        at = time.monotonic() - self.began
        try:
            await ask(self._connection, method, message, timeout=self._deadline)
            code = "OK"
        except grpc.aio.AioRpcError as error:
            code = error.code().name
        self.told.append({"code": code, "began": at, "ended": time.monotonic() - self.began})
        return code

    async def in_turn(self, seconds: float) -> None:
        """One call after the other."""
        while time.monotonic() - self.began < seconds:
            if await self.one() != "OK":
                await asyncio.sleep(BETWEEN)

    async def at_rate(self, rate: float, seconds: float) -> None:
        """So many calls a second, whatever becomes of those before."""
        count = int(rate * seconds)
        running = []
        for place in range(count):
            await asyncio.sleep(max(0.0, place / rate - (time.monotonic() - self.began)))
            running.append(asyncio.create_task(self.one()))
        await asyncio.gather(*running)


async def main(address: str, what: dict[str, Any]) -> None:
    async with channel(address) as connection:
        await connection.channel_ready()
        print("ready", flush=True)
        at = float(await asyncio.to_thread(sys.stdin.readline))
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        calls = Calls(connection, what["job"], what.get("deadline"))
        if "rate" in what:
            await calls.at_rate(what["rate"], what["seconds"])
        else:
            running = [asyncio.create_task(calls.in_turn(what["seconds"])) for _ in range(what["streams"])]
            await asyncio.wait(running, timeout=what["seconds"])
            for task in running:
                task.cancel()
            await asyncio.wait(running)
    print(json.dumps(calls.told))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
