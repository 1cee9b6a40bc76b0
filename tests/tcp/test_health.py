"""Health and reflection over TCP: what they answer, whom they tell, and what they say to bytes that are no message."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from support.failures import failure
from support.raw_http2 import DATA, RawClient
from support.servers import ServerProcess, models

Request, Response = health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
Ask = reflection_pb2.ServerReflectionRequest
CHECK, WATCH, LIST = (f"/grpc.health.v1.Health/{method}" for method in ("Check", "Watch", "List"))
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


@pytest.fixture
def channel(server: ServerProcess) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.address) as channel:
        yield channel


def caller(channel: grpc.Channel, path: str) -> Callable[[bytes], object]:
    """Sends these bytes as a message of the method, and reads the first answer."""
    as_it_is: Any = bytes
    if path == REFLECTION:
        return lambda body: list(channel.stream_stream(path, as_it_is, as_it_is)(iter([body]), timeout=30))
    if path == WATCH:
        return lambda body: next(channel.unary_stream(path, as_it_is, as_it_is)(body, timeout=30))
    return lambda body: channel.unary_unary(path, as_it_is, as_it_is)(body, timeout=30)


def ended(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    """The code of a call, and what it says of it."""
    try:
        call()
    except grpc.RpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


def mutated(seed: bytes, random: random.Random) -> bytes:
    """A message with a few bytes changed, added or taken away."""
    body = bytearray(seed)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(body) + 1)
        body[at : at + random.randrange(3)] = random.randbytes(random.randrange(3))
    return bytes(body)


SERVICES = (
    "safelight.v1.ImageService",
    "safelight.v1.JobService",
    "safelight.v1.ModelService",
    "google.longrunning.Operations",
)


def test_list_tells_of_the_whole_the_service_and_each_model(channel: grpc.Channel, folders: dict[str, str]) -> None:
    statuses = health_pb2_grpc.HealthStub(channel).List(health_pb2.HealthListRequest()).statuses
    assert {name: status.status for name, status in statuses.items()} == dict.fromkeys(
        ("", *SERVICES, *folders), Response.SERVING
    )


def test_what_is_not_served_is_not_found_but_may_be_watched(channel: grpc.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    unknown = failure(lambda: stub.Check(Request(service="päinting")))
    assert (unknown.code, unknown.reason) == (grpc.StatusCode.NOT_FOUND, "SERVICE_UNKNOWN")
    watch = stub.Watch(Request(service="painting"))
    assert next(watch).status == Response.SERVICE_UNKNOWN
    watch.cancel()


@pytest.mark.parametrize("path", [CHECK, WATCH, LIST, REFLECTION])
def test_bytes_that_are_no_message_are_an_invalid_argument(channel: grpc.Channel, path: str) -> None:
    refused = failure(lambda: caller(channel, path)(b"\x0a\x7fshort"))
    assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert set(refused.violations) == {"request"}


@pytest.mark.parametrize(
    ("path", "seed"),
    [
        (CHECK, Request(service="safelight.v1.ImageService")),
        (WATCH, Request(service="safelight.v1.ImageService")),
        (REFLECTION, Ask(file_containing_symbol="safelight.v1.ImageService")),
        (REFLECTION, Ask(file_by_filename="safelight/v1/images.proto")),
        (REFLECTION, Ask(all_extension_numbers_of_type="google.protobuf.FieldOptions")),
        (
            REFLECTION,
            Ask(
                file_containing_extension=reflection_pb2.ExtensionRequest(
                    containing_type="google.protobuf.FieldOptions", extension_number=1
                )
            ),
        ),
    ],
)
def test_mutated_messages_are_answered_or_refused_and_nothing_of_python_is_told(
    channel: grpc.Channel, path: str, seed: Any
) -> None:
    call, dice, codes = caller(channel, path), random.Random(7), {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT}
    if path == CHECK:
        codes.add(grpc.StatusCode.NOT_FOUND)
    for _ in range(150):
        body = mutated(seed.SerializeToString(), dice)
        code, told = ended(lambda: call(body))  # noqa: B023 - called at once
        assert code in codes, (body, told)
        assert "Error" not in told, body


def test_a_watcher_that_does_not_read_holds_up_no_other(folders: dict[str, str]) -> None:
    """It sits there while the models are loaded; the other one is told when they are."""
    with (
        ServerProcess(*models(folders, "base"), ready="listening on") as process,
        RawClient(process.address, window=0) as stalled,
        grpc.insecure_channel(process.address) as channel,
    ):
        stub = health_pb2_grpc.HealthStub(channel)
        stream = stalled.call(WATCH, b"")
        assert Response.SERVING in (response.status for response in stub.Watch(Request(), timeout=120))
        assert stub.Check(Request(), timeout=30).status == Response.SERVING
        with pytest.raises(AssertionError, match="no such frame"):
            stalled.wait_for(DATA, stream, patience=0.1)
