"""What a call can raise; `statuses` makes it of a gRPC status.

SafelightError              .code .reason .message .violations .retry_after .metadata .request_id .job_id; __cause__ is
│                           the grpc.RpcError
├── InvalidRequest          INVALID_ARGUMENT, OUT_OF_RANGE; .violations names every bad field. And RESOURCE_EXHAUSTED
│                           where a message is over gRPC's limit, which trying again does not change
├── NotFound                NOT_FOUND: no such model, or no such job, or not any more ("JOB_NOT_FOUND")
├── FailedPrecondition      FAILED_PRECONDITION: nothing to finish yet ("NOT_STARTED"), or a step that is not kept
│                           ("CHECKPOINT_GONE"; .metadata["nearest_step"] is)
├── Conflict                ABORTED, ALREADY_EXISTS: a request_id of another request ("REQUEST_ID_REUSED")
├── Denied                  PERMISSION_DENIED, UNAUTHENTICATED
├── Busy                    RESOURCE_EXHAUSTED: the queue is full, or the store ("STORE_FULL"); .retry_after says when
│                           to come back
├── Unavailable             UNAVAILABLE: a server that loads its models or shuts down, or no server there, or none any
│                           more (reason "UNREACHABLE"); .retry_after says when to come back
├── TimedOut                DEADLINE_EXCEEDED, also a TimeoutError: the call's timeout has passed; or the server finds
│                           it too short (reason "DEADLINE_TOO_SHORT"), and does not begin
├── Cancelled               CANCELLED: by this side, by the server, or by whoever cancelled the job ("JOB_CANCELLED")
├── Unsupported             UNIMPLEMENTED: a server that is older than this client
└── Internal                INTERNAL, UNKNOWN, DATA_LOSS: a fault of the server

Values that do not fit into a request at all (a text for `width`) are a TypeError or a ValueError, before any call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from grpc import StatusCode


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
        request_id: str = "",
        job_id: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code  # the name of a gRPC status, as "NOT_FOUND"
        self.reason = reason  # what programs may rely on, as "QUEUE_FULL"; may be empty when a proxy answered
        self.violations = list(violations)
        self.retry_after = retry_after  # seconds; None: the server does not say
        self.metadata = dict(metadata or {})  # particulars of the reason
        self.request_id = request_id  # by which the server's log knows the call
        self.job_id = job_id  # of a job that was followed: it may go on

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
    """There is no such model, or no such job."""


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


class TimedOut(SafelightError, TimeoutError):
    """The timeout of the call has passed, and the server has stopped the work; or it is too short to begin."""


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


def cancelled(request_id: str = "") -> Cancelled:
    """The exception for a call that this side has cancelled."""
    return Cancelled("the call was cancelled", code=StatusCode.CANCELLED.name, request_id=request_id)
