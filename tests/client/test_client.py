"""Both clients over TCP against a scripted server: the same methods, and cancelling."""

from __future__ import annotations

import asyncio
import gc
import inspect
import subprocess
import sys

import pytest
import safelight
from safelight import AsyncClient, Client
from support import fake_server as fake
from support.clients import Connect
from support.fake_server import FOREVER, serve


def test_importing_is_light_and_does_nothing() -> None:
    code = "import sys, safelight; print(sorted({'numpy', 'tqdm', 'openvino', 'rich'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_both_clients_have_the_same_methods() -> None:
    for name in ("__init__", "generate", "refine", "stream", "models", "health", "close"):
        parameters = [inspect.signature(getattr(kind, name)).parameters for kind in (Client, AsyncClient)]
        assert parameters[0] == parameters[1]
    assert all(hasattr(safelight, name) for name in safelight.__all__)


def test_leaving_a_stream_cancels_it(connect: Connect) -> None:
    with serve(stream=fake.endless) as server:
        with connect(server.address).stream("p") as stream:
            next(stream)
            assert not server.gone.is_set()
        assert server.gone.wait(FOREVER)
        with pytest.raises(safelight.Cancelled):
            stream.final()


def test_cancel(connect: Connect) -> None:
    with serve(stream=fake.endless) as server, connect(server.address).stream("p") as stream:
        next(stream)
        stream.cancel()
        assert server.gone.wait(FOREVER)
        with pytest.raises(safelight.Cancelled) as caught:
            next(stream)
        assert caught.value.code == "CANCELLED"


def test_dropping_a_stream_cancels_it() -> None:
    with serve(stream=fake.endless) as server, Client(server.address) as client:
        stream = client.stream("p")
        next(stream)
        del stream
        gc.collect()
        assert server.gone.wait(FOREVER)


@pytest.mark.parametrize("call", ["generate", "stream"])
def test_cancelling_a_task_cancels_its_call(call: str) -> None:
    async def read(client: AsyncClient) -> None:
        await (client.generate("p") if call == "generate" else client.stream("p").final())

    async def run(server: fake.FakeServer) -> None:
        async with AsyncClient(server.address) as client:
            task = asyncio.create_task(read(client))
            assert await asyncio.to_thread(server.called.wait, FOREVER)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(server.gone.wait, FOREVER)

    with serve(generate=fake.sleeping, stream=fake.endless) as server:
        asyncio.run(run(server))


def test_a_stream_cancelled_from_beside_does_not_look_like_a_cancelled_task() -> None:
    async def run(server: fake.FakeServer) -> None:
        async with AsyncClient(server.address) as client, client.stream("p") as stream:
            await anext(stream)
            reading = asyncio.create_task(stream.final())
            await asyncio.sleep(0.1)
            stream.cancel()
            with pytest.raises(safelight.Cancelled):
                await reading

    with serve(stream=fake.endless) as server:
        asyncio.run(run(server))
