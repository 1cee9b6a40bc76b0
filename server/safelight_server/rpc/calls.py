"""What the calls of all services have alike: bytes to a message, an id for logs and trailers, errors to a status."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from safelight_server.errors import InvalidRequest, JobError, Violation
from safelight_server.logs import request_id

from .status import Unexpected, status_of

log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
Trailers = tuple[tuple[str, str | bytes], ...]
M = TypeVar("M", bound=Message)


def serialize(message: Message) -> bytes:
    return message.SerializeToString()


def parse(message_type: type[M], body: bytes) -> M:
    """The message that these bytes are. Raises InvalidRequest where they are none."""
    try:
        return message_type.FromString(body)
    except DecodeError:
        rule = f"these {len(body)} bytes are no {message_type.DESCRIPTOR.full_name}"
        raise InvalidRequest([Violation("request", rule)]) from None


@asynccontextmanager
async def report(context: Context) -> AsyncGenerator[str, None]:
    """Gives the call an id, in its logs and its trailers; turns an error into the call's status."""
    job_id = secrets.token_hex(8)
    sent = dict(context.invocation_metadata() or ()).get("x-request-id")
    request_id.set(_printable(sent) if isinstance(sent, str) else job_id)
    trailers: Trailers = (("x-request-id", request_id.get()),)
    context.set_trailing_metadata(trailers)
    try:
        yield job_id
    except JobError as error:
        log.info("refused or failed: %s %s", error.reason, error)
        await _abort(context, error, trailers)
    except Exception as error:
        if isinstance(error, grpc.aio.AbortError):
            raise
        log.exception("unexpected error")
        await _abort(context, Unexpected(), trailers)


async def _abort(context: Context, error: JobError, trailers: Trailers) -> None:
    code, message, details = status_of(error)
    await context.abort(code, message, (*trailers, *details))


def _printable(text: str) -> str:
    """What of an id may stand in a log line and in gRPC's metadata, which takes printable ASCII alone."""
    return "".join(character for character in text[:64] if " " <= character <= "~")
