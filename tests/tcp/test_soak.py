"""Many clients of all kinds come and go, most of them early. The long form: pytest -m slow tests/tcp/test_soak.py

Last long run, 2026-11-26, 2 cores of x86-64 with AVX-512, other work beside it: 3,000 jobs in 189 s, none failed.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest
from safelight.v1 import images_pb2 as pb
from safelight.v1.images_pb2_grpc import ImageServiceStub
from support.asking import JOB
from support.failures import reason
from support.pictures import mask, picture
from support.servers import ServerProcess

AT_A_TIME = 32  # twice as many as the server has slots: the rest wait, and none is refused
# So that none has the server's 32 calls: a client that is at this limit may be refused a call as others end theirs.
CONNECTIONS = 2
OF_ITS_OWN = (("grpc.use_local_subchannel_pool", 1),)


@pytest.mark.parametrize("jobs", [120, pytest.param(3000, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_clients_that_come_and_go_harm_nobody(jobs: int, server: ServerProcess) -> None:
    before = len(server.log())
    ends = asyncio.run(soak(server.address, jobs))
    assert set(ends) <= {"done", "left", "DEADLINE_EXCEEDED", "DEADLINE_TOO_SHORT"}, ends
    assert min(ends["done"], ends["left"]) > jobs / 10, "a mixture, or nothing is shown"
    assert "Traceback" not in server.log()[before:]


async def soak(address: str, jobs: int) -> Counter[str]:
    """How so many jobs ended; between them, one and the same picture must stay the same."""
    ends: Counter[str] = Counter()
    gate = asyncio.Semaphore(AT_A_TIME)
    async with AsyncExitStack() as stack:
        channels = [grpc.aio.insecure_channel(address, OF_ITS_OWN) for _ in range(CONNECTIONS)]
        stubs: list[Any] = [ImageServiceStub(await stack.enter_async_context(channel)) for channel in channels]

        async def client(seed: int) -> None:
            async with gate:
                ends[await visit(stubs[seed % CONNECTIONS], random.Random(seed))] += 1

        async def same_picture() -> bytes:
            response = await stubs[0].Generate(pb.GenerateRequest(**JOB))
            return bytes(response.images[0].data)

        right = await same_picture()
        for first in range(0, jobs, 100):
            await asyncio.gather(*map(client, range(first, min(first + 100, jobs))))
            assert await same_picture() == right
    return ends


async def visit(stub: Any, chance: random.Random) -> str:
    """One client's stay: it asks, reads a while, and leaves when it has enough, or when its time is up."""
    leaves_after = chance.choice([None, None, 1, 3, 6])
    call = stub.Stream(request(chance), timeout=chance.choice([None, None, 0.3, 5]))
    try:
        read = 0
        async for _ in call:
            read += 1
            if read == leaves_after:
                call.cancel()
                return "left"
            if chance.random() < 0.05:
                await asyncio.sleep(0.2)
    except grpc.aio.AioRpcError as error:
        return reason(error)
    return "done"


def request(chance: random.Random) -> pb.StreamRequest:
    size = {"width": chance.choice([64, 128, 256]), "height": chance.choice([64, 96])}
    common: dict[str, Any] = {**size, "prompt": str(chance.random()), "seed": chance.randrange(2**32)}
    preview = {"max_edge": 64} if chance.random() < 0.5 else None
    if chance.random() < 0.4:
        source: dict[str, Any] = {"image": picture(), "strength": 0.6, "mask": mask() if chance.random() < 0.5 else b""}
        refine = pb.RefineRequest(model=chance.choice(["base", "refiner", "inpaint"]), steps=10, **source, **common)
        return pb.StreamRequest(refine=refine, preview=preview)
    generate = pb.GenerateRequest(model=chance.choice(["base", "zero_snr", "vega_lcm"]), **common)
    generate.steps, generate.num_images = chance.choice([1, 3, 20, 50]), chance.choice([1, 1, 2])
    if generate.steps > 1 and chance.random() < 0.2:
        generate.refiner.model, generate.refiner.handoff = "refiner", 0.5
    return pb.StreamRequest(generate=generate, preview=preview)
