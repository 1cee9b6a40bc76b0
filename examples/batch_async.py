"""Asks for several pictures at once: the server takes their steps in turn, and each is saved as soon as it is done."""

import asyncio

from safelight import AsyncClient

THINGS = ("a red apple", "an owl", "a small rocket", "a slice of pizza")


async def draw(client: AsyncClient, thing: str) -> None:
    result = await client.generate(f"{thing} on a blue background", priority="batch")
    (path,) = result.save(f"{thing.split()[-1]}.png")
    print(f"{path}: {result.timings.total:.1f} s, of which {result.timings.queued:.1f} s in the queue")


async def main() -> None:
    async with AsyncClient() as client, asyncio.TaskGroup() as tasks:
        for thing in THINGS:
            tasks.create_task(draw(client, thing))


asyncio.run(main())
