"""A failed call to the exception that tells it: the one place where a gRPC status and its details are read."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

from .addresses import is_loopback
from .channel import REQUEST_ID
from .errors import EXCEPTIONS, FieldViolation, InvalidRequest, SafelightError, TimedOut
from .wire import seconds

Detail = TypeVar("Detail", bound=Message)

# Whose reason says more than their code: a server that is busy, or a caller who is in a hurry.
REASONS: dict[str, type[SafelightError]] = {"DEADLINE_TOO_SHORT": TimedOut}

# How the gRPC libraries of C++ and Go, and of Java, say that a message is over a limit.
_TOO_LARGE = re.compile(r"(sent|received?|send) message larger than max|message exceeds maximum size", re.IGNORECASE)
_SIZES = re.compile(r"larger than max \((\d+) vs\.? (\d+)\)")
# How gRPC says that there is nobody, and why.
_NO_SERVER = re.compile(r"failed to connect|dns resolution failed|backends failing|empty address list", re.IGNORECASE)
_CAUSE = re.compile(
    r"connection refused|connection reset|no such file or directory|permission denied|no route to host"
    r"|network is unreachable|dns resolution failed|timed? ?out|deadline exceeded|handshake failed|http proxy[^;]*",
    re.IGNORECASE,
)
_GONE = re.compile(
    r"socket closed|recvmsg|goaway|connection reset|broken pipe|stream removed|rst_stream", re.IGNORECASE
)
_CUT = (StatusCode.UNAVAILABLE, StatusCode.INTERNAL, StatusCode.UNKNOWN)
_PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")
# Seconds, drawn by lot, so that those who lost their server in one moment do not all come back in one.
_COME_BACK = 1.0, 3.0


def error_from(error: grpc.RpcError, address: str = "", request_id: str = "") -> SafelightError:
    """The exception for a failed call to `address`, with what the status says. Raise it `from` the error."""
    code = error.code()
    status = _status_of(error)
    info = next(_details(status, error_details_pb2.ErrorInfo), error_details_pb2.ErrorInfo())
    text = error.details() or code.name
    if not info.reason and code is StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE.search(text):
        return _too_large(text, request_id)
    bad = (entry for part in _details(status, error_details_pb2.BadRequest) for entry in part.field_violations)
    asked = retry_delay_of(error)
    failed = REASONS.get(info.reason, EXCEPTIONS.get(code, SafelightError))(
        text,
        code=code.name,
        reason=info.reason,
        violations=[FieldViolation(entry.field, entry.description) for entry in bad],
        retry_after=None if asked is None or asked < 0 else asked,
        metadata=info.metadata,
        request_id=str(_trailers(error).get(REQUEST_ID) or request_id),
    )
    return _unreachable(failed, address) if code is StatusCode.UNAVAILABLE and not info.reason else failed


def is_cut(error: grpc.RpcError) -> bool:
    """Whether the link broke under a call that a server may have taken, or that server is about to end."""
    code, text = error.code(), error.details() or ""
    if reason := _reason_of(error):
        return code is StatusCode.UNAVAILABLE and reason == "SHUTTING_DOWN"
    return code in _CUT and bool(_GONE.search(text)) and not _NO_SERVER.search(text)


def goes_on(error: grpc.RpcError) -> bool:
    """Whether a job that was taken may be found again once there is a link, or the server is there again."""
    return is_cut(error) or (error.code() is StatusCode.UNAVAILABLE and _reason_of(error) in ("", "LOADING"))


def is_lost_job(error: grpc.RpcError) -> bool:
    """Whether a server says that it does not know the job, or jobs at all."""
    return error.code() is StatusCode.UNIMPLEMENTED or _reason_of(error) == "JOB_NOT_FOUND"


def retry_delay_of(error: grpc.RpcError) -> float | None:
    """Seconds that the server asks callers to wait for; below 0: trying again is no use; None: it does not say."""
    pushback = _trailers(error).get("grpc-retry-pushback-ms")
    if pushback is not None:
        # A value that is no number means the same as one below 0 (gRFC A6).
        return int(pushback) / 1000 if re.fullmatch(r"\d{1,9}", str(pushback)) else -1.0
    details = _details(_status_of(error), error_details_pb2.RetryInfo)
    return next((seconds(part.retry_delay) for part in details), None)


def _reason_of(error: grpc.RpcError) -> str:
    return next((info.reason for info in _details(_status_of(error), error_details_pb2.ErrorInfo)), "")


def _too_large(text: str, request_id: str) -> InvalidRequest:
    sizes = _SIZES.search(text)
    size, limit = sizes.groups() if sizes else ("", "")
    reason = f"{int(size):,} bytes, and at most {int(limit):,} may be sent" if sizes else text
    if "CLIENT: Received" in text:
        message = f"the answer is too large ({reason}): ask for fewer or smaller pictures, for JPEG, or use stream()"
    else:
        message = f"the request is too large ({reason}): send a smaller image"
    metadata = {"size": size, "limit": limit} if sizes else {}
    return InvalidRequest(
        message,
        code=StatusCode.RESOURCE_EXHAUSTED.name,
        reason="MESSAGE_TOO_LARGE",
        metadata=metadata,
        request_id=request_id,
    )


def _unreachable(failed: SafelightError, address: str) -> SafelightError:
    """The failure of a call that no server of ours answered: there was none, or it went away."""
    failed.reason = "UNREACHABLE"
    failed.args = (_told(failed.message, address or "the address"),)
    failed.message = failed.args[0]
    if failed.retry_after is None:
        failed.retry_after = round(random.uniform(*_COME_BACK), 1)
    return failed


def _told(text: str, address: str) -> str:
    """What gRPC says of a server that does not answer, in words that help."""
    if "unhealthy" in text:
        return f"no server of {address} is ready"
    if not _NO_SERVER.search(text):
        return f"the server at {address} went away ({text})" if _GONE.search(text) else text
    cause = _CAUSE.search(text)
    if cause and "handshake" in cause[0].lower():
        return (
            f"{address} answers, but not as a server to trust: it has no certificate that this side knows "
            "($SAFELIGHT_CA or ca= names the file that it is signed by), or speaks no TLS (http:// is for that)"
        )
    proxy = next((name for name in _PROXIES if os.environ.get(name)), None)
    through = f"; ${proxy} is set, and may lead elsewhere" if proxy and not is_loopback(address) else ""
    why = cause[0].lower() if cause else "no answer"
    return f"no server at {address}: start one with safelight-server serve (failed to connect: {why}{through})"


def _trailers(error: grpc.RpcError) -> dict[str, str | bytes]:
    # As a tuple: grpc.aio's Metadata looks like a mapping, and that of gRPC 1.71 is one whose keys are pairs.
    pairs: tuple[Any, ...] = tuple(error.trailing_metadata() or ())
    return dict(pairs)


def _status_of(error: grpc.RpcError) -> status_pb2.Status:
    return _status(_trailers(error).get("grpc-status-details-bin", b""))


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
