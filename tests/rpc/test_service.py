"""The gRPC door in the test's own process: what a call brings to the engine."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from safelight.v1 import images_pb2 as pb
from safelight.v1.images_pb2_grpc import ImageServiceStub
from safelight_server.desk import Desk
from safelight_server.engine.engine import Engine
from safelight_server.engine.job_book import JobBook, Work
from safelight_server.engine.job_record import Ask
from safelight_server.jobs import Priority
from safelight_server.rpc.calls import Calls
from safelight_server.rpc.service import ImageService
from support.engines import STORE, load, run


def test_a_call_brings_its_priority_its_deadline_and_its_caller() -> None:
    came: list[tuple[Priority, float | None]] = []
    callers: list[object] = []

    class Noting(JobBook):
        async def take(self, ask: Ask, work: Callable[[], Awaitable[Work]]) -> str:
            came.append((ask.priority, ask.deadline))
            callers.append(ask.caller)
            return await super().take(ask, work)

    async def test() -> None:
        desk, server = Desk(), grpc.aio.server()
        desk.book = Noting(Engine({"demo-vega": load("demo-vega")}, slots=1, queue=0), STORE)
        server.add_generic_rpc_handlers((ImageService(desk, Calls()).handlers(),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            generate: Any = ImageServiceStub(channel).Generate
            await generate(pb.GenerateRequest(prompt="an owl", priority=pb.PRIORITY_INTERACTIVE), timeout=100)
            await generate(pb.GenerateRequest(prompt="an owl", priority=pb.PRIORITY_BATCH))
        await server.stop(None)

    began = time.monotonic()
    run(test)
    (hurried, until), second = came
    assert hurried is Priority.INTERACTIVE
    assert until is not None
    assert began + 90 < until <= time.monotonic() + 100
    assert second == (Priority.BATCH, None)
    assert callers[0] == callers[1]
    assert str(callers[0]).startswith("ipv4:127.0.0.1:"), "one connection is one caller"
