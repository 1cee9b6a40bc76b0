"""What the calls of all services have alike: bytes to a message, an id for logs and trailers, errors to a status."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from safelight_server.callers import calling, trace_in, tracing
from safelight_server.errors import InvalidRequest, JobError, Unexpected, Violation
from safelight_server.logs import printable, request_id
from safelight_server.messages.asking import Call
from safelight_server.observer import SILENT, Observer

from .status import status_of

log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
Trailers = tuple[tuple[str, str | bytes], ...]
Handlers = dict[str, Any]
M = TypeVar("M", bound=Message)
T = TypeVar("T")

DOOR = "grpc"  # as observers know it


def serialize(message: Message) -> bytes:
    return message.SerializeToString()


def parse(message_type: type[M], body: bytes) -> M:
    """The message that these bytes are. Raises InvalidRequest where they are none."""
    try:
        return message_type.FromString(body)
    except DecodeError:
        rule = f"these {len(body)} bytes are no {message_type.DESCRIPTOR.full_name}"
        raise InvalidRequest([Violation("request", rule)]) from None


def unary_handlers(methods: Mapping[str, tuple[Any, T]], answer: Callable[[Any, T, bytes, Context], Any]) -> Handlers:
    """Of methods that take one message and give one: of each, by name, the type of its request and what answers it.

    `answer` is given both, then the bytes of a call and its context.
    """
    return {
        name: grpc.unary_unary_rpc_method_handler(partial(answer, request, method), response_serializer=serialize)
        for name, (request, method) in methods.items()
    }


class Calls:
    """The calls that run, of all services: each is counted until its last byte is sent."""

    def __init__(self, observer: Observer = SILENT) -> None:
        self._observer = observer
        self._running: set[asyncio.Task[Any]] = set()

    @asynccontextmanager
    async def count(self, context: Context) -> AsyncGenerator[str, None]:
        """Counts a call, and reports its errors; gives its id."""
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        self._observer.call_began(DOOR)
        try:
            async with report(context, self._observer) as call_id:
                yield call_id
        finally:
            self._running.discard(task)

    async def finish(self, patience: float) -> None:
        """Waits until the calls that run have sent their last bytes; gRPC's own stop() does not always."""
        if self._running:
            await asyncio.wait(self._running, timeout=patience)


@asynccontextmanager
async def report(context: Context, observer: Observer = SILENT) -> AsyncGenerator[str, None]:
    """Gives the call an id, in its logs and its trailers, and its trace; turns an error into the call's status."""
    job_id = secrets.token_hex(8)
    metadata = tuple(context.invocation_metadata() or ())
    tracing.set(trace_in(metadata))
    sent = dict(metadata).get("x-request-id")
    request_id.set(printable(sent) if isinstance(sent, str) else job_id)
    trailers: Trailers = (("x-request-id", request_id.get()),)
    context.set_trailing_metadata(trailers)
    try:
        yield job_id
    except JobError as error:
        log.info("refused or failed: %s %s", error.reason, error)
        observer.call_refused(DOOR, error.reason)
        await _abort(context, error, trailers)
    except Exception as error:
        if isinstance(error, grpc.aio.AbortError):
            raise
        log.exception("unexpected error")
        observer.call_refused(DOOR, Unexpected.reason)
        await _abort(context, Unexpected(), trailers)


async def _abort(context: Context, error: JobError, trailers: Trailers) -> None:
    code, message, details = status_of(error)
    await context.abort(code, message, (*trailers, *details))


def deadline_of(context: Context) -> float | None:
    """When the client gives up, as a time.monotonic()."""
    remaining = context.time_remaining()
    return None if remaining is None else time.monotonic() + remaining


def call_of(context: Context, call_id: str) -> Call:
    """A call, as those know it who do not know gRPC. Who has no name is known by the connection."""
    return Call(call_id, calling.get().name or context.peer(), deadline_of(context))
