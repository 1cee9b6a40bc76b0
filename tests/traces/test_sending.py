"""What is behind the spans: --traces and its extra, a collector that is away or hangs, and the end of the process."""

from __future__ import annotations

import logging
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from safelight.v1 import images_pb2 as pb
from safelight.v1 import jobs_pb2 as jobs
from safelight.v1.images_pb2_grpc import ImageServiceStub
from safelight.v1.jobs_pb2_grpc import JobServiceStub
from safelight_server.doors import sending
from safelight_server.errors import LoadError
from safelight_server.traces import seldom
from support.collector import Caller, collect, told
from support.http_server import SMALL as MODEL
from support.servers import ServerProcess, refused_start

OPTIONS = MODEL, "--precision=f32", "--no-verify", "--traces"
SMALL: dict[str, Any] = {"prompt": "a red apple", "steps": 1, "width": 64, "height": 64}
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
SMALL_QUEUE = {
    "OTEL_BSP_SCHEDULE_DELAY": "20",
    "OTEL_BSP_MAX_QUEUE_SIZE": "16",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "8",
}


def away() -> Iterator[str]:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{found.getsockname()[1]}"


def hanging() -> Iterator[str]:
    """A port at which connections are accepted, by the system, and nothing is ever read or said."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture(params=[away, hanging])
def nobody(request: pytest.FixtureRequest) -> Iterator[str]:
    yield from request.param()


@pytest.fixture(autouse=True)
def their_logger() -> Iterator[logging.Logger]:
    """As it was before: what is made in this process changes it."""
    theirs = logging.getLogger("opentelemetry")
    handlers = list(theirs.handlers)
    yield theirs
    theirs.handlers[:], theirs.propagate = handlers, True


def test_a_collector_that_does_not_answer_holds_up_nobody(nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the jobs nor the end; and the log has a line or two of it, not one for each attempt or lost span."""
    for name, value in {ENDPOINT: nobody, **SMALL_QUEUE}.items():
        monkeypatch.setenv(name, value)
    with ServerProcess(*OPTIONS, "--ephemeral") as process:
        with grpc.insecure_channel(process.address) as channel:
            stub = ImageServiceStub(channel)
            for seed in range(40):
                stub.Generate(pb.GenerateRequest(**SMALL, seed=seed))
            process.wait_for("traces: Failed to export")
            for seed in range(40, 60):
                stub.Generate(pb.GenerateRequest(**SMALL, seed=seed))
        assert process.stop() == 0
        process.wait_for("stopped")
        lines = process.log().splitlines()
    said = [line.partition("traces: ")[2] for line in lines if "traces: " in line]
    assert len(said) == len({re.sub(r"\d", "", line) for line in said}) <= 4, said
    assert not [line for line in lines if "Traceback" in line]
    assert [line for line in lines if "the last spans are lost" in line]


def test_the_last_spans_are_sent_at_the_end_and_a_resumed_job_goes_on_in_its_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = Caller()
    long = pb.GenerateRequest(
        **SMALL | {"steps": 60, "width": 128, "height": 128},
        scheduler="euler",
        num_images=2,
        on_disconnect=pb.ON_DISCONNECT_KEEP,
        retain=Duration(seconds=600),
    )
    stored = f"--state-dir={tmp_path}"
    with collect() as collector:
        monkeypatch.setenv(ENDPOINT, collector.address)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")  # what comes does so at the end alone
        with ServerProcess(*OPTIONS, stored, "--grace=0") as process, grpc.insecure_channel(process.address) as channel:
            service = JobServiceStub(channel)
            job_id = service.Submit(jobs.SubmitRequest(generate=long), metadata=caller.metadata).job.id
            events = service.Attach(jobs.AttachRequest(job_id=job_id))
            assert any(event.HasField("progress") for event in events)
            assert process.stop() == 0
        left, below = collector.tree(caller)
        assert told(left)["safelight.job.state"] == "cancelled"
        assert told(left)["safelight.job.cancel_reason"] == "SHUTTING_DOWN"
        assert told(below[-1])["safelight.job.state"] == "cancelled"
        collector.requests.clear()
        with ServerProcess(*OPTIONS, stored) as process, grpc.insecure_channel(process.address) as channel:
            assert any(
                event.HasField("done") for event in JobServiceStub(channel).Attach(jobs.AttachRequest(job_id=job_id))
            )
            assert process.stop() == 0
        resumed, below = collector.tree(caller)
        assert told(resumed)["safelight.job.id"] == job_id
        assert told(resumed)["safelight.job.resumed"] is True
        assert told(resumed)["safelight.job.state"] == "succeeded"
        assert resumed.trace_state == "vendor=mark"
        assert below[-1].name == "save"


def test_without_the_option_nothing_of_it_is_imported() -> None:
    code = (
        "import sys, safelight_server.__main__, safelight_server.http.door;"
        "assert not [name for name in sys.modules if name.startswith(('opentelemetry', 'safelight_server.traces'))]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("missing", ["opentelemetry", "opentelemetry.sdk", "opentelemetry.exporter"])
def test_a_missing_extra_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    for name in list(sys.modules):
        if name.startswith(("safelight_server.traces", f"{missing}.")) or name == missing:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(LoadError, match=r"^--traces needs the extra \[otel\]: .* -m pip install .*opentelemetry-sdk"):
        sending()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "must be grpc .*'http/protobuf'"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "must be grpc .*'http/json'"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon", "soon"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "brotli", "brotli"),
    ],
)
def test_a_bad_variable_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(LoadError, match=rf"^--traces: {name} .*{told}") as raised:
        sending()
    assert "\n" not in str(raised.value)


def test_the_command_ends_with_this_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    (line,) = refused_start("--listen=127.0.0.1:0", *OPTIONS).splitlines()
    assert line.startswith("safelight-server: --traces: OTEL_EXPORTER_OTLP_PROTOCOL must be grpc")


def test_what_is_said_again_and_again_is_logged_once_in_a_while(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, their_logger: logging.Logger
) -> None:
    now = 1000.0
    monkeypatch.setattr(seldom, "time", SimpleNamespace(monotonic=lambda: now))
    theirs, handler = their_logger.getChild("for.this.test"), seldom.Seldom()
    for attempt in range(100):
        theirs.warning("attempt %d failed", attempt)
        theirs.error("given up")
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
    assert "traces: attempt 0 failed" in caplog.text
    now += seldom.WHILE
    theirs.warning("attempt %d failed", 100)
    assert "attempt 100" in caplog.text
    handler.close()
    now += seldom.WHILE
    theirs.error("given up")
    assert len(caplog.records) == 3
