"""What a call can raise, and the one place where a gRPC status becomes an exception.

SafelightError              .code .reason .message .violations .retry_after .metadata; __cause__ is the grpc.RpcError
├── InvalidRequest          INVALID_ARGUMENT, OUT_OF_RANGE; .violations names every bad field
├── NotFound                NOT_FOUND: no such model
├── FailedPrecondition      FAILED_PRECONDITION
├── Conflict                ABORTED, ALREADY_EXISTS
├── Denied                  PERMISSION_DENIED, UNAUTHENTICATED
├── Busy                    RESOURCE_EXHAUSTED: the queue is full; .retry_after says when to come back
├── Unavailable             UNAVAILABLE: no server there, or one that loads its models or shuts down
├── TimedOut                DEADLINE_EXCEEDED: the call's timeout has passed
├── Cancelled               CANCELLED: by this side or by the server
├── Unsupported             UNIMPLEMENTED: a server that is older than this client
└── Internal                INTERNAL, UNKNOWN, DATA_LOSS: a fault of the server

Values that do not fit into a request at all (a text for `width`) are a TypeError or a ValueError, before any call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

from .wire import seconds

Detail = TypeVar("Detail", bound=Message)


@dataclass(frozen=True)
class FieldViolation:
    """One bad field: its path in the request, and what is wrong with it."""

    field: str
    description: str


class SafelightError(Exception):
    """A call that failed."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "UNKNOWN",
        reason: str = "",
        violations: Iterable[FieldViolation] = (),
        retry_after: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code  # the name of a gRPC status, as "NOT_FOUND"
        self.reason = reason  # what programs may rely on, as "QUEUE_FULL"; empty when no server answered
        self.violations = list(violations)
        self.retry_after = retry_after  # seconds; None: the server does not say
        self.metadata = dict(metadata or {})  # particulars of the reason

    def __str__(self) -> str:
        """The message, and every bad field on its own line."""
        if not self.violations:
            return self.message
        # The server's message may list the same fields in one line; here each gets its own.
        fields = [f"  {violation.field}: {violation.description}" for violation in self.violations]
        summary = self.message if self.violations[0].description not in self.message else "the request was refused"
        return "\n".join([f"{summary}:", *fields])


class InvalidRequest(SafelightError):
    """The request breaks rules; `violations` names every field that does."""


class NotFound(SafelightError):
    """There is no such model."""


class FailedPrecondition(SafelightError):
    """The server is not in a state to do this."""


class Conflict(SafelightError):
    """Another call got in the way."""


class Denied(SafelightError):
    """The server, or a proxy before it, does not let this caller in."""


class Busy(SafelightError):
    """The server has no room now; `retry_after` says when to come back."""


class Unavailable(SafelightError):
    """No server there, or one that still loads its models or is shutting down."""


class TimedOut(SafelightError):
    """The timeout of the call has passed; the server has stopped the work."""


class Cancelled(SafelightError):
    """The call was cancelled."""


class Unsupported(SafelightError):
    """The server does not know this call."""


class Internal(SafelightError):
    """A fault of the server."""


EXCEPTIONS: dict[StatusCode, type[SafelightError]] = {
    StatusCode.INVALID_ARGUMENT: InvalidRequest,
    StatusCode.OUT_OF_RANGE: InvalidRequest,
    StatusCode.NOT_FOUND: NotFound,
    StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    StatusCode.ABORTED: Conflict,
    StatusCode.ALREADY_EXISTS: Conflict,
    StatusCode.PERMISSION_DENIED: Denied,
    StatusCode.UNAUTHENTICATED: Denied,
    StatusCode.RESOURCE_EXHAUSTED: Busy,
    StatusCode.UNAVAILABLE: Unavailable,
    StatusCode.DEADLINE_EXCEEDED: TimedOut,
    StatusCode.CANCELLED: Cancelled,
    StatusCode.UNIMPLEMENTED: Unsupported,
    StatusCode.INTERNAL: Internal,
    StatusCode.UNKNOWN: Internal,
    StatusCode.DATA_LOSS: Internal,
}


def error_from(error: grpc.RpcError) -> SafelightError:
    """The exception for a failed call, with what the status and its details say. Raise it `from` the error."""
    code = error.code()
    # As a tuple: grpc.aio's Metadata looks like a mapping, and that of gRPC 1.71 is one whose keys are pairs.
    trailers: tuple[Any, ...] = tuple(error.trailing_metadata() or ())
    status = _status(dict(trailers).get("grpc-status-details-bin", b""))
    info = next(_details(status, error_details_pb2.ErrorInfo), error_details_pb2.ErrorInfo())
    bad = (entry for part in _details(status, error_details_pb2.BadRequest) for entry in part.field_violations)
    return EXCEPTIONS.get(code, SafelightError)(
        error.details() or code.name,
        code=code.name,
        reason=info.reason,
        violations=[FieldViolation(entry.field, entry.description) for entry in bad],
        retry_after=next((seconds(part.retry_delay) for part in _details(status, error_details_pb2.RetryInfo)), None),
        metadata=info.metadata,
    )


def cancelled() -> Cancelled:
    """The exception for a call that this side has cancelled."""
    return Cancelled("the call was cancelled", code=StatusCode.CANCELLED.name)


def _status(trailer: str | bytes) -> status_pb2.Status:
    """The rich status in a trailer; an empty one where it cannot be read, which must not hide the error itself."""
    try:
        return status_pb2.Status.FromString(trailer if isinstance(trailer, bytes) else b"")
    except DecodeError:
        return status_pb2.Status()


def _details(status: status_pb2.Status, detail_type: type[Detail]) -> Iterator[Detail]:
    for packed in status.details:
        detail = detail_type()
        try:
            if packed.Unpack(detail):
                yield detail
        except DecodeError:
            continue
