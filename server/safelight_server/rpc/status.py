"""Errors to google.rpc.Status: the one place where a failure becomes what a client sees (AIP-193)."""

from __future__ import annotations

from urllib.parse import quote

from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2 as details
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from safelight_server.errors import JobError

DOMAIN = "safelight"
LARGEST_DETAILS = 4000  # bytes; larger ones reach some clients as another status altogether
LARGEST_HEADERS = 7000  # bytes of message and details as HTTP/2 carries them: 8 KiB is what most peers take in all
PLAIN = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")  # what gRPC sends of a message as it is
# (characters of the message, of each description): the first that fits is told. Every bad field is named whatever fits.
LENGTHS = ((1000, 150), (500, 150), (500, 100), (250, 70), (250, 40), (150, 20), (80, 0))


def status_of(error: JobError) -> tuple[StatusCode, str, tuple[tuple[str, str | bytes], ...]]:
    """The code, the message, and the trailing metadata with the details."""
    code = StatusCode[error.code]
    status = next(filter(_fits, (_status(error, code, *lengths) for lengths in LENGTHS)), None)
    status = status or _status(error, code, *LENGTHS[-1])
    trailers: list[tuple[str, str | bytes]] = []
    if error.retry_after is not None:
        trailers.append(("grpc-retry-pushback-ms", str(round(error.retry_after * 1000))))  # what gRPC itself obeys
    trailers.append(("grpc-status-details-bin", status.SerializeToString()))
    return code, status.message, tuple(trailers)


def _status(error: JobError, code: StatusCode, message: int, description: int) -> Status:
    status = Status(code=code.value[0], message=_cut(str(error), message))
    status.details.add().Pack(details.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata))
    if error.violations:
        bad = details.BadRequest()
        for field, rule in error.violations:
            bad.field_violations.add(field=field, description=_cut(rule, description))
        status.details.add().Pack(bad)
    if error.retry_after is not None:
        delay = Duration()
        delay.FromMilliseconds(round(error.retry_after * 1000))
        status.details.add().Pack(details.RetryInfo(retry_delay=delay))
    return status


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: max(0, longest - 3)] + "..."[:longest]


def _fits(status: Status) -> bool:
    size: int = status.ByteSize()
    return size <= LARGEST_DETAILS and size * 4 / 3 + len(quote(status.message, safe=PLAIN)) <= LARGEST_HEADERS
