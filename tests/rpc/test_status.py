"""What a client is told of an error: every bad field by name, in few enough bytes that every client can read them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status
from grpc import StatusCode
from safelight_server.errors import InvalidRequest, ModelNotFound, PicturesWaiting, Violation
from safelight_server.rpc.status import PLAIN, status_of


def told(error: Any) -> tuple[Status, dict[str, str]]:
    _, message, trailers = status_of(error)
    packed = dict(trailers)["grpc-status-details-bin"]
    assert isinstance(packed, bytes)
    assert len(packed) < 4096
    assert len(packed) * 4 / 3 + len(quote(message, safe=PLAIN)) < 8192, "what most peers take of headers"
    status = Status.FromString(packed)
    assert status.message == message
    bad = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad) for detail in status.details)
    return status, {violation.field: violation.description for violation in bad.field_violations}


@pytest.mark.parametrize("count", [1, 24, 25, 60])
@pytest.mark.parametrize("rule", ["must be from 1 to 150, not 0", "y" * 400, "🍎" * 200, "100 %" * 50])
def test_every_bad_field_is_named(count: int, rule: str) -> None:
    fields = [f"generate.size_conditioning.field_{place:02}" for place in range(count)]
    status, found = told(InvalidRequest([Violation(field, rule) for field in fields]))
    assert list(found) == fields
    assert status.message
    if count == 1:
        assert found[fields[0]][:100] == rule[:100], "few are told in full"


def test_an_unknown_model_is_not_found_whatever_else_is_bad() -> None:
    error = ModelNotFound("model", "none", ["a", "b"])
    error.violations = [*error.violations, Violation("steps", "must be from 1 to 150, not 0")]
    status, found = told(error)
    assert status.code == StatusCode.NOT_FOUND.value[0]
    assert list(found) == ["model", "steps"]


def test_a_caller_is_told_when_to_come_back() -> None:
    code, _, trailers = status_of(PicturesWaiting())
    assert code is StatusCode.RESOURCE_EXHAUSTED
    assert dict(trailers)["grpc-retry-pushback-ms"] == "2000"
