"""The door for health (grpc.health.v1): watchers are told the newest status; one that does not read holds up nobody.

The library's own servicer writes to a watcher while it holds a lock: one client with a closed window stops all others,
and the server's exit.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import grpc
from grpc_health.v1 import health_pb2 as pb

from safelight_server.errors import JobError, ShuttingDown

from .calls import Context, parse, report, serialize

NAME: str = pb.DESCRIPTOR.services_by_name["Health"].full_name
SERVING, NOT_SERVING = pb.HealthCheckResponse.SERVING, pb.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = pb.HealthCheckResponse.SERVICE_UNKNOWN


class UnknownService(JobError):
    code = "NOT_FOUND"
    reason = "SERVICE_UNKNOWN"

    def __init__(self, name: str) -> None:
        super().__init__(f"service: there is no service or model {name[:80]!r} here")


class Health:
    """Handlers for grpc.health.v1.Health, and what they tell: whether each service and model takes jobs."""

    def __init__(self) -> None:
        self._serving: dict[str, bool] = {}
        self._leaving = False
        self._closed = False
        self._news = asyncio.Event()  # set once, when anything changes; then another one takes its place

    def handlers(self) -> grpc.GenericRpcHandler:
        """Bytes in, as those of ImageService: what does not parse is INVALID_ARGUMENT."""
        unary: dict[str, Any] = {"Check": self.check}
        if hasattr(pb, "HealthListResponse"):  # in grpcio-health-checking from 1.73 on
            unary["List"] = self.list
        methods: dict[str, Any] = {
            name: grpc.unary_unary_rpc_method_handler(method, response_serializer=serialize)
            for name, method in unary.items()
        }
        methods["Watch"] = grpc.unary_stream_rpc_method_handler(self.watch, response_serializer=serialize)
        return grpc.method_handlers_generic_handler(NAME, methods)

    def set(self, serving: Mapping[str, bool]) -> None:
        """Says of each of these whether it takes jobs. "" is the server as a whole."""
        self._serving.update(serving)
        self._tell()

    def drop(self, names: Iterable[str]) -> None:
        """There is none of these any more."""
        for name in names:
            self._serving.pop(name, None)
        self._tell()

    def leave(self) -> None:
        """From now on all are NOT_SERVING, whatever is set later."""
        self._leaving = True
        self._tell()

    def close(self) -> None:
        """Ends all watches."""
        self._closed = True
        self._tell()

    async def check(self, body: bytes, context: Context) -> Any:
        async with report(context):
            name = parse(pb.HealthCheckRequest, body).service
            if name not in self._serving:
                raise UnknownService(name)
            return pb.HealthCheckResponse(status=self._status(name))
        raise AssertionError("abort does not return")

    async def list(self, body: bytes, context: Context) -> Any:
        async with report(context):
            parse(pb.HealthListRequest, body)
            statuses = {name: pb.HealthCheckResponse(status=self._status(name)) for name in self._serving}
            return pb.HealthListResponse(statuses=statuses)
        raise AssertionError("abort does not return")

    async def watch(self, body: bytes, context: Context) -> AsyncIterator[Any]:
        """Tells the status, and then each that differs from the one told last. What is unknown may become known."""
        async with report(context):
            name, told = parse(pb.HealthCheckRequest, body).service, None
            while True:
                news, closed, status = self._news, self._closed, self._status(name)  # before the write, which may wait
                if status != told:
                    yield pb.HealthCheckResponse(status=status)
                    told = status
                if closed:
                    raise ShuttingDown
                await news.wait()

    def _status(self, name: str) -> int:
        if name not in self._serving:
            return SERVICE_UNKNOWN  # type: ignore[no-any-return]
        return SERVING if self._serving[name] and not self._leaving else NOT_SERVING  # type: ignore[no-any-return]

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
