"""SIGTERM and Ctrl-C: the exit has a bound, whoever does not read and whatever hangs; a second one ends it at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from safelight.v1 import images_pb2 as pb
from safelight.v1.images_pb2_grpc import ImageServiceStub
from support.asking import JOB, LONG, stream
from support.failures import failure
from support.raw_http2 import RawClient
from support.servers import ServerProcess, models

Request, Response = health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
WATCH, STREAM = "/grpc.health.v1.Health/Watch", "/safelight.v1.ImageService/Stream"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])


@pytest.fixture
def fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Python code that each server of this test runs before its own."""

    def plant(code: str) -> None:
        (tmp_path / "sitecustomize.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)

    return plant


def ended_in_order(process: ServerProcess, patience: float) -> None:
    """It ends by itself within so many seconds, and its log is a quiet one."""
    assert process.process.wait(patience) == 0
    assert "stopped" in process.log()
    assert "Traceback" not in process.log()
    assert "unexpected" not in process.log().lower()


def test_watchers_are_told_and_then_let_go(folders: dict[str, str]) -> None:
    """Of health, and a client of reflection that leaves its call open."""
    with (
        ServerProcess(*models(folders, "base"), "--no-verify") as process,
        grpc.insecure_channel(process.address) as channel,
    ):
        watch = health_pb2_grpc.HealthStub(channel).Watch(Request(service="base"))
        assert next(watch).status == Response.SERVING
        asking: Any = channel.stream_stream(REFLECTION)
        over = threading.Event()

        def questions() -> Iterator[bytes]:
            yield b"\x3a\x00"  # what services are there?
            over.wait(60)

        answers = asking(questions())
        assert b"safelight.v1.ImageService" in next(answers)
        process.process.send_signal(signal.SIGTERM)
        assert next(watch).status == Response.NOT_SERVING
        ended = failure(lambda: next(watch))
        assert (ended.code, ended.reason) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
        ended_in_order(process, patience=30)
        over.set()


def test_a_watcher_that_does_not_read_does_not_keep_the_server(folders: dict[str, str]) -> None:
    with (
        ServerProcess(*models(folders, "base"), "--no-verify") as process,
        RawClient(process.address, window=0) as stalled,
        grpc.insecure_channel(process.address) as channel,
    ):
        stalled.call(WATCH, b"")
        health_pb2_grpc.HealthStub(channel).Check(Request())  # the watch has begun, for it came first
        process.process.send_signal(signal.SIGTERM)
        ended_in_order(process, patience=20)


def test_readers_that_take_nothing_do_not_add_to_the_grace(
    folders: dict[str, str], fault: Callable[[str], None]
) -> None:
    fault("from safelight_server import server; server.LAST_BYTES = 1.0, 600.0")
    with (
        ServerProcess(*models(folders, "base"), "--no-verify", "--grace=0.5") as process,
        RawClient(process.address, window=0) as stalled,
    ):
        for seed in range(3):
            request = pb.StreamRequest(generate=pb.GenerateRequest(**JOB | {"seed": seed}))
            stalled.call(STREAM, request.SerializeToString(), {"x-request-id": b"reader-%d" % seed})
            process.wait_for(f"reader-{seed} ")
        with grpc.insecure_channel(process.address) as channel:  # it is drawn last, so the others are done
            list(stream(ImageServiceStub(channel), seed=9))
        process.process.send_signal(signal.SIGTERM)
        ended_in_order(process, patience=60)


@SIGNALS
def test_the_second_signal_ends_it_at_once(number: signal.Signals, folders: dict[str, str]) -> None:
    with (
        ServerProcess(*models(folders, "base"), "--no-verify", "--grace=600") as process,
        grpc.insecure_channel(process.address) as channel,
    ):
        call = stream(ImageServiceStub(channel), **LONG | {"num_images": 16})
        assert any(response.HasField("progress") for response in call)
        process.process.send_signal(number)
        process.wait_for("draining")
        process.process.send_signal(number)
        assert process.process.wait(20) == -number
        assert "Traceback" not in process.log()


def test_what_hangs_while_it_leaves_does_not_keep_it(folders: dict[str, str], fault: Callable[[str], None]) -> None:
    fault("""if True:
        import asyncio
        from safelight_server.engine.engine import Engine
        async def drain(self, grace):
            await asyncio.Event().wait()
        Engine.drain = drain""")
    with ServerProcess(*models(folders, "base"), "--no-verify", "--grace=0.2") as process:
        process.process.send_signal(signal.SIGTERM)
        assert process.process.wait(30) == 1
        assert "some work did not stop" in process.log()


@SIGNALS
def test_a_model_that_is_being_loaded_does_not_keep_it(
    number: signal.Signals, folders: dict[str, str], fault: Callable[[str], None]
) -> None:
    """A graph that compiles cannot be interrupted."""
    fault("""if True:
        import time
        from safelight_server.models import loader
        def load(*_, **__):
            time.sleep(600)
        loader.load = load""")
    with ServerProcess(*models(folders, "base"), "--no-verify", ready="listening on") as process:
        process.process.send_signal(number)
        ended_in_order(process, patience=30)
