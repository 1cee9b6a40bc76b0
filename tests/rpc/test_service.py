"""The gRPC door in the test's own process: what a call brings to the engine."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from typing import Any

import grpc
from safelight.v1 import images_pb2 as pb
from safelight.v1.images_pb2_grpc import ImageServiceStub
from safelight_server.desk import Desk
from safelight_server.diffusion.plan import Plan
from safelight_server.engine.engine import Engine
from safelight_server.jobs import Event, Previews, Priority
from safelight_server.rpc.service import ImageService
from support.engines import load, run


def test_a_call_brings_its_priority_its_deadline_and_its_caller() -> None:
    came: list[tuple[Priority, float | None]] = []
    callers: list[object] = []

    class Noting(Engine):
        async def run(
            self, plan: Plan, previews: Previews | None = None, deadline: float | None = None, caller: object = None
        ) -> AsyncGenerator[Event, None]:
            came.append((plan.job.priority, deadline))
            callers.append(caller)
            async for event in super().run(plan, previews, deadline, caller):
                yield event

    async def test() -> None:
        desk, server = Desk(), grpc.aio.server()
        desk.engine = Noting({"demo-vega": load("demo-vega")}, slots=1, queue=0)
        server.add_generic_rpc_handlers((ImageService(desk).handlers(),))
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
