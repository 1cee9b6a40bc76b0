"""The client over TCP against a scripted server: the exceptions that calls raise."""

from __future__ import annotations

import pickle
from typing import Any

import grpc
import pytest
import safelight
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from safelight.errors import EXCEPTIONS
from support.clients import Connect
from support.clients import quick_retries as quick_retries
from support.fake_server import refuse, serve


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
@pytest.mark.parametrize("call", ["generate", "stream"])
@pytest.mark.usefixtures("quick_retries")
def test_every_status_has_its_exception(connect: Connect, code: grpc.StatusCode, call: str) -> None:
    handler: Any = lambda _, context: refuse(context, code, "no", ErrorInfo(reason="BECAUSE", metadata={"a": "b"}))  # noqa: E731
    with serve(generate=handler, stream=handler) as server:
        client = connect(server.address)
        with pytest.raises(EXCEPTIONS[code]) as caught:
            client.generate("p") if call == "generate" else client.stream("p").final()
    error = caught.value
    assert type(error) is EXCEPTIONS[code]
    assert (error.code, error.reason, error.message, str(error)) == (code.name, "BECAUSE", "no", "no")
    assert (error.metadata, error.violations, error.retry_after) == ({"a": "b"}, [], None)
    assert isinstance(error.__cause__, grpc.RpcError)


def test_every_bad_field_is_told(connect: Connect) -> None:
    bad = BadRequest(
        field_violations=[
            BadRequest.FieldViolation(field="width", description="must be a multiple of 8, not 13"),
            BadRequest.FieldViolation(field="steps", description="must be at least 1, not 0"),
        ]
    )
    delay = RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000))
    code = grpc.StatusCode.INVALID_ARGUMENT
    with serve(generate=lambda _, context: refuse(context, code, "2 bad fields", bad, delay)) as server:
        client = connect(server.address)
        with pytest.raises(safelight.InvalidRequest) as caught:
            client.generate("p")
    error = caught.value
    assert str(error).splitlines() == [
        "2 bad fields:",
        "  width: must be a multiple of 8, not 13",
        "  steps: must be at least 1, not 0",
    ]
    assert error.violations[1] == safelight.FieldViolation("steps", "must be at least 1, not 0")
    assert error.retry_after == 1.5
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.code, again.retry_after) == (str(error), error.code, 1.5)


def test_a_message_that_repeats_the_fields_is_not_told_twice() -> None:
    wrong = [safelight.FieldViolation("steps", "must be at least 1, not 0")]
    error = safelight.InvalidRequest("steps: must be at least 1, not 0", violations=wrong)
    assert str(error) == "the request was refused:\n  steps: must be at least 1, not 0"


# A status that is none; and one with two broken details and a good one.
BROKEN = Status(
    details=[
        Packed(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff\xff"),
        Packed(type_url="type.googleapis.com/no.such.Type", value=b"\xff"),
        Packed(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=ErrorInfo(reason="X").SerializeToString()),
    ]
).SerializeToString()


@pytest.mark.parametrize(("raw", "reason"), [(b"\xff\xffgarbage", ""), (BROKEN, "X"), (b"", "")])
def test_bad_details_do_not_hide_the_error(connect: Connect, raw: bytes, reason: str) -> None:
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    with serve(generate=lambda _, context: refuse(context, code, "full", raw=raw)) as server:
        client = connect(server.address)
        with pytest.raises(safelight.Busy, match="full") as caught:
            client.generate("p")
    assert caught.value.reason == reason


def test_no_server(connect: Connect) -> None:
    with pytest.raises(safelight.Unavailable, match="connect") as caught:
        connect("127.0.0.1:1").health()
    assert caught.value.reason == "UNREACHABLE"
    assert caught.value.retry_after is not None
