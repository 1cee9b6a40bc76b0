"""What a failed call tells a client, unpacked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2


@dataclass(frozen=True)
class Failure:
    code: grpc.StatusCode
    reason: str
    violations: dict[str, str]  # field → description
    retry_delay: float | None  # seconds
    trailers: dict[str, Any]
    metadata: dict[str, str]  # of the ErrorInfo


def reason(error: grpc.RpcError) -> str:
    """The reason in a rich status, or the name of the code where there is none: gRPC itself ended the call."""
    told: Any = error
    info, status = error_details_pb2.ErrorInfo(), status_pb2.Status()
    for name, value in told.trailing_metadata() or ():
        if name == "grpc-status-details-bin":
            status.ParseFromString(value)
            status.details[0].Unpack(info)
    return info.reason or str(told.code().name)


def failure(call: Callable[[], object]) -> Failure:
    """The failure of `call`, which must fail with a rich status that every client can read."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error: Any = caught.value
    trailers = dict(error.trailing_metadata())
    raw = trailers["grpc-status-details-bin"]
    assert len(raw) < 4096, "larger details reach some clients as another status"
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    status = status_pb2.Status.FromString(raw)
    assert (status.code, status.message) == (error.code().value[0], error.details())
    assert status.details[0].Unpack(info)
    assert info.domain == "safelight"
    delay = None
    for detail in status.details:
        detail.Unpack(bad)
        if detail.Unpack(retry):
            delay = retry.retry_delay.ToTimedelta().total_seconds()
    violations = {violation.field: violation.description for violation in bad.field_violations}
    return Failure(error.code(), info.reason, violations, delay, trailers, dict(info.metadata))
