"""Stopping over TCP: cancel, deadline, dead clients, a full queue, SIGTERM. One slot, so that nothing hides."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from safelight.v1 import images_pb2 as pb
from safelight.v1.images_pb2_grpc import ImageServiceStub
from support.asking import JOB, LONG, generate, kinds, stream
from support.client_process import drawing_for
from support.failures import failure
from support.servers import ServerProcess, models


# One slot, so that a job that is not stopped is in the way of the next.
@pytest.fixture(scope="module")
def narrow(folders: dict[str, str]) -> Iterator[ServerProcess]:
    options = ("--precision=f32", "--slots=1", "--queue=1", "--log-format=json")
    with ServerProcess(*models(folders, "base"), *options) as process:
        yield process


@pytest.fixture
def one(narrow: ServerProcess) -> Iterator[ImageServiceStub]:
    with grpc.insecure_channel(narrow.address) as channel:
        yield ImageServiceStub(channel)


def begun(call: Any) -> None:
    """Reads on until a step is done."""
    for response in call:
        if response.HasField("progress"):
            return


def finished(server: ServerProcess) -> int:
    """How many jobs were drawn to their end so far."""
    return sum("done in" in json.loads(line)["message"] for line in server.log().splitlines())


def test_cancelling_frees_the_slot(narrow: ServerProcess, one: ImageServiceStub) -> None:
    expected = generate(one)
    before = finished(narrow)
    call = stream(one, **LONG)
    begun(call)
    call.cancel()
    assert generate(one) == expected, "the next job's picture is right"
    assert finished(narrow) == before + 1, "the cancelled job was drawn to its end"


def test_a_deadline_stops_the_work(one: ImageServiceStub) -> None:
    request = pb.StreamRequest(generate=pb.GenerateRequest(**LONG))
    with pytest.raises(grpc.RpcError, match="Deadline"):
        list(one.Stream(request, timeout=1.0))
    generate(one)


@pytest.mark.parametrize("how", ["read", "stall"])
def test_a_killed_client_frees_the_slot(how: str, narrow: ServerProcess, one: ImageServiceStub) -> None:
    before = finished(narrow)
    with drawing_for(narrow, how) as client:
        client.kill()
    generate(one)
    assert finished(narrow) == before + 1, "the dead client's job was drawn to its end"


def test_a_full_queue_refuses_and_says_when_to_come_back(one: ImageServiceStub) -> None:
    running = stream(one, **LONG)
    begun(running)
    waiting = stream(one, **LONG | {"seed": 12})  # the same job would be drawn together with it
    assert next(waiting).queued.position == 1
    full = failure(lambda: generate(one))
    assert (full.code, full.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
    assert full.retry_delay
    assert full.retry_delay >= 1
    assert float(full.trailers["grpc-retry-pushback-ms"]) == full.retry_delay * 1000
    waiting.cancel()  # a queued job whose client left never starts
    running.cancel()
    generate(one)


def test_logs_are_json_with_the_request_id(narrow: ServerProcess, one: ImageServiceStub) -> None:
    one.Generate(pb.GenerateRequest(**JOB), metadata=(("x-request-id", "id-7"),))
    lines = [json.loads(line) for line in narrow.log().splitlines()]
    assert {"time", "level", "logger", "request_id", "message"} <= lines[-1].keys()
    assert lines[-1]["request_id"] == "id-7"


def test_sigterm_lets_running_jobs_finish(folders: dict[str, str]) -> None:
    with (
        ServerProcess(*models(folders, "base"), "--grace=60") as process,
        grpc.insecure_channel(process.address) as channel,
    ):
        stub, health = ImageServiceStub(channel), health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest(service="safelight.v1.ImageService"))
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        call = stream(stub, **JOB | {"width": 256, "height": 256, "steps": 60})
        begun(call)
        process.process.send_signal(signal.SIGTERM)
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        late = failure(lambda: generate(stub))
        assert (late.code, late.reason) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
        assert kinds(list(call))[-2:] == ["image", "done"]
        assert process.stop() == 0


def test_sigterm_stops_what_outlasts_the_grace(folders: dict[str, str]) -> None:
    with (
        ServerProcess(*models(folders, "base"), "--grace=0.2") as process,
        grpc.insecure_channel(process.address) as channel,
    ):
        call = stream(ImageServiceStub(channel), **LONG)
        begun(call)
        process.process.send_signal(signal.SIGTERM)
        stopped = failure(lambda: list(call))
        assert (stopped.code, stopped.reason) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
        assert process.stop() == 0
