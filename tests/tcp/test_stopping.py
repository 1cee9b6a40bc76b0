"""Stopping over TCP: cancel, deadline, dead clients, a full queue, SIGTERM."""

from __future__ import annotations

import json
import signal
import time
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

# Seconds. A job of LONG takes minutes: the next one has the only slot that soon only where it was stopped.
SOON = 30.0


@pytest.fixture(scope="module")
def narrow(folders: dict[str, str]) -> Iterator[ServerProcess]:
    options = ("--precision=f32", "--slots=1", "--queue=1", "--max-wait=1000000", "--log-format=json")
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


def test_cancelling_frees_the_slot(one: ImageServiceStub) -> None:
    expected = generate(one)
    call = stream(one, **LONG)
    begun(call)
    call.cancel()
    assert generate(one, SOON) == expected, "the next job's picture is right"


def test_a_deadline_stops_the_work(one: ImageServiceStub) -> None:
    request = pb.StreamRequest(generate=pb.GenerateRequest(**LONG))
    with pytest.raises(grpc.RpcError, match="Deadline"):
        list(one.Stream(request, timeout=1.0))
    generate(one, SOON)


@pytest.mark.parametrize("how", ["read", "stall"])
def test_a_killed_client_frees_the_slot(how: str, narrow: ServerProcess, one: ImageServiceStub) -> None:
    with drawing_for(narrow, how, f"killed-{how}") as client:
        client.kill()
    generate(one, SOON)


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
    waiting.cancel()
    running.cancel()
    while not has_room(one):
        time.sleep(0.1)
    generate(one, SOON)  # a queued job whose client left never starts: it would be drawn now


def has_room(stub: ImageServiceStub) -> bool:
    """Draws a picture, or is told that the queue is full."""
    try:
        return bool(generate(stub, SOON))
    except grpc.RpcError as error:
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # noqa: PT017
        return False


def test_logs_are_json_with_the_request_id(narrow: ServerProcess, one: ImageServiceStub) -> None:
    one.Generate(pb.GenerateRequest(**JOB), metadata=(("x-request-id", "id-7"),))
    line = json.loads(narrow.wait_for("id-7", "done in"))
    assert {"time", "level", "logger", "request_id", "message"} <= line.keys()
    assert line["request_id"] == "id-7"
    assert all(json.loads(line) for line in narrow.log().splitlines())


def test_sigterm_lets_running_jobs_finish(folders: dict[str, str]) -> None:
    with (
        ServerProcess(*models(folders, "base"), "--grace=60") as process,
        grpc.insecure_channel(process.address) as channel,
    ):
        stub, health = ImageServiceStub(channel), health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest(service="safelight.v1.ImageService"))
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        call = stream(stub, **JOB | {"width": 256, "height": 256, "steps": 40})
        begun(call)
        process.process.send_signal(signal.SIGTERM)
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        late = failure(lambda: generate(stub))
        assert (late.code, late.reason) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
        assert kinds(list(call))[-2:] == ["image", "done"]
        assert process.process.wait(40) == 0


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
        assert process.process.wait(40) == 0
