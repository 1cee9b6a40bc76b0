"""Errors to google.rpc.Status: the one place where a failure becomes what a client sees (AIP-193)."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2 as details
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from safelight_server.errors import JobError

DOMAIN = "safelight"
LONGEST_MESSAGE = 1000
MOST_VIOLATIONS = 24  # more than 8 KiB of details would reach the client as another status altogether


class Unexpected(JobError):
    """What is told of an error that nobody foresaw; its own text is for the log."""

    def __init__(self) -> None:
        super().__init__("the server failed on this job; its log says how")


def status_of(error: JobError) -> tuple[StatusCode, str, tuple[tuple[str, str | bytes], ...]]:
    """The code, the message, and the trailing metadata with the details."""
    code = StatusCode[error.code]
    message = str(error)[:LONGEST_MESSAGE]
    status = Status(code=code.value[0], message=message)
    status.details.add().Pack(details.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata))
    if error.violations:
        status.details.add().Pack(_bad_request(error))
    trailers: list[tuple[str, str | bytes]] = []
    if error.retry_after is not None:
        delay = Duration()
        delay.FromMilliseconds(round(error.retry_after * 1000))
        status.details.add().Pack(details.RetryInfo(retry_delay=delay))
        trailers.append(("grpc-retry-pushback-ms", str(round(error.retry_after * 1000))))  # what gRPC itself obeys
    trailers.append(("grpc-status-details-bin", status.SerializeToString()))
    return code, message, tuple(trailers)


def _bad_request(error: JobError) -> details.BadRequest:
    violations = error.violations[:MOST_VIOLATIONS]
    return details.BadRequest(
        field_violations=[
            details.BadRequest.FieldViolation(field=violation.field, description=violation.description[:150])
            for violation in violations
        ]
    )
