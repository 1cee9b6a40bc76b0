"""How the server is asked: a connection of one's own, small jobs, what became of a call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import grpc
from safelight.v1 import images_pb2 as pb

GENERATE = "/safelight.v1.ImageService/Generate"
STREAM = "/safelight.v1.ImageService/Stream"
REFINE = "/safelight.v1.ImageService/Refine"
HEALTH = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
SIZE: dict[str, Any] = {"width": 64, "height": 64}
SMALL: dict[str, Any] = {"model": "demo-vega", "prompt": "a red apple", "steps": 1, "seed": 1, **SIZE}
OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1))
ALL = (("safelight-max-response-bytes", "1000000000"),)  # metadata: the caller takes what may come


T = TypeVar("T")
RUNNER = asyncio.Runner()


def run(work: Coroutine[Any, Any, T]) -> T:
    """All in one loop: grpc.aio keeps to the first one that it meets."""
    return RUNNER.run(work)


def channel(address: str) -> grpc.aio.Channel:
    """A connection of its own, and so a caller of its own."""
    return grpc.aio.insecure_channel(address, options=OPTIONS)


def job(**fields: Any) -> pb.GenerateRequest:
    return pb.GenerateRequest(**{**SMALL, **fields})


def ask(connection: grpc.aio.Channel, method: str, message: bytes, **how: Any) -> Any:
    """A call with one answer."""
    multi: Any = connection.unary_unary(method)
    return multi(message, **how)


def listen(connection: grpc.aio.Channel, method: str, message: bytes, **how: Any) -> Any:
    """A call with many."""
    multi: Any = connection.unary_stream(method)
    return multi(message, **how)


async def ended(call: Any) -> str:
    """The name of the code that a call ends with."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


async def seconds(call: Any) -> tuple[float, str]:
    """How long a call takes from now, and its code."""
    began = time.monotonic()
    code = await ended(call)
    return time.monotonic() - began, code


async def check(connection: grpc.aio.Channel, patience: float = 30) -> tuple[float, str]:
    """How long a check of health takes, and its code."""
    return await seconds(ask(connection, HEALTH, b"", timeout=patience))
