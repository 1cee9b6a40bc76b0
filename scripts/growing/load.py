"""A client process: python -m growing.load ADDRESS WORK ARGUMENTS (JSON) does a work of WORKS.

It prints, as JSON, when the stretch that counts began and ended (time.monotonic), and what else it saw.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack
from itertools import chain
from typing import Any

from safelight import AsyncClient, AsyncJob, Previews, Progress

OWN = (("grpc.use_local_subchannel_pool", 1),)  # a connection of its own: to the server, a caller of its own
UNDER_WAY = 16  # calls at a time while jobs are handed in: a connection may have 32
AHEAD = 40  # jobs of the queue whose end is waited for
LONG, PICTURES = {"edge": 256, "steps": 50}, 16  # of a job that holds a slot for a minute


def request(number: int, asked: dict[str, Any]) -> dict[str, Any]:
    """A request that no other equals, so that no drawing is shared."""
    size = {"width": asked["edge"], "height": asked["edge"]}
    return {"prompt": "a red apple", "seed": number, "model": asked["model"], "steps": asked["steps"], **size}


async def streams(address: str, callers: Sequence[str], each: int, previews: int, **asked: Any) -> dict[str, Any]:
    """A caller for each name of a model, all at once; each watches `each` pictures, one after the other."""
    async with AsyncExitStack() as held:
        clients = [await held.enter_async_context(AsyncClient(address, channel_options=OWN)) for _ in callers]

        async def call(place: int, numbers: Iterable[int]) -> list[float]:
            """Seconds to the first step of each picture."""
            return [await first_step(clients[place], 1000 * number + place, callers[place]) for number in numbers]

        async def first_step(client: AsyncClient, number: int, model: str) -> float:
            began, seen = time.monotonic(), []
            whole = request(number, {**asked, "model": model})
            async with client.stream(previews=Previews(every=previews), **whole) as events:
                async for event in events:
                    if isinstance(event, Progress):
                        seen.append(time.monotonic() - began)
            return seen[0]

        await asyncio.gather(*(call(place, [0]) for place in range(len(callers))))  # connects, and each size is warm
        began = time.monotonic()
        took = await asyncio.gather(*(call(place, range(1, each + 1)) for place in range(len(callers))))
        return {"began": began, "ended": time.monotonic(), "first step": statistics.median(chain(*took))}


async def queue(address: str, jobs: int, plugs: int, **asked: Any) -> dict[str, Any]:
    """Hands in so many jobs that nobody watches, behind long ones that hold all slots; ends those, and watches.

    What counts begins then, and ends with the first jobs of the queue.
    """
    async with AsyncClient(address, channel_options=OWN) as client:
        await client.generate(**request(0, asked))
        long = {**asked, **LONG}
        held = [await client.submit(**request(number, long), num_images=PICTURES) for number in range(1, plugs + 1)]
        turns, began = asyncio.Semaphore(UNDER_WAY), time.monotonic()

        async def hand_in(number: int) -> AsyncJob:
            async with turns:
                return await client.submit(**request(1000 + number, asked))

        handed = await asyncio.gather(*map(hand_in, range(jobs)))
        took = time.monotonic() - began
        waiting = [(await job.status()).state for job in (*held, *handed)].count("queued")
        began = time.monotonic()
        await asyncio.gather(*(job.cancel() for job in held))
        for job in handed[:AHEAD]:
            await job.wait()
        return {"began": began, "ended": time.monotonic(), "waiting": waiting, "handing one in": took / jobs}


WORKS: dict[str, Callable[..., Coroutine[Any, Any, dict[str, Any]]]] = {"streams": streams, "queue": queue}


def main(address: str, work: str, arguments: str) -> None:
    print(json.dumps(asyncio.run(WORKS[work](address, **json.loads(arguments)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
