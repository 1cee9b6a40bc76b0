"""The commands of `safelight` about jobs, over TCP against a scripted server."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from safelight.__main__ import main
from safelight.v1 import images_pb2 as images
from safelight.v1 import jobs_pb2 as pb
from support import fake_server as fake
from support.fake_jobs import job
from support.fake_server import FOREVER, serve
from support.files import opened, written


def attached(request: pb.AttachRequest, context: grpc.ServicerContext) -> Iterator[pb.AttachResponse]:
    """The events of a drawn job."""
    asked = images.StreamRequest(generate=images.GenerateRequest(num_images=1))
    for response in fake.streamed(asked, context):
        yield pb.AttachResponse.FromString(response.SerializeToString())


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.chdir(tmp_path)

    def run(*argv: str) -> tuple[int, str, str]:
        code = main(argv)
        told = capsys.readouterr()
        return code, told.out, told.err

    with serve(
        attach=attached, estimate=estimated, verify=lambda *_: pb.VerifyResponse(same=False, max_difference=3)
    ) as server:
        monkeypatch.setenv("SAFELIGHT_ADDRESS", server.address)
        run.server = server  # type: ignore[attr-defined]
        yield run


def estimated(request: pb.EstimateRequest, context: grpc.ServicerContext) -> pb.EstimateResponse:
    span = pb.Interval(low=Duration(seconds=1), likely=Duration(seconds=2), high=Duration(seconds=4))
    return pb.EstimateResponse(wait=pb.Interval(), work=span, total=span, peak_bytes=2**31, fits=True)


def test_submit_prints_the_id_alone(run: Any) -> None:
    code, out, err = run("submit", "a red apple", "--steps", "4", "--retain", "60", "--stop-at-step", "2")
    assert (code, out) == (0, "job\n")
    assert "safelight attach job" in err
    (asked,) = run.server.jobs.asked
    assert (asked.generate.prompt, asked.generate.steps, asked.generate.stop_at_step) == ("a red apple", 4, 2)
    assert asked.generate.retain == Duration(seconds=60)
    assert len(asked.generate.request_id) == 36
    assert asked.generate.on_disconnect == images.ON_DISCONNECT_UNSPECIFIED


def test_attach_writes_what_comes(run: Any) -> None:
    code, out, err = run("attach", "job", "-o", "apple.png", "--preview", "now.jpg")
    assert (code, out) == (0, "apple.png\n")
    assert "seed 7" in err
    assert opened("now.jpg").format == "JPEG"


def test_jobs_and_their_changes(run: Any) -> None:
    code, out, _ = run("jobs", "--state", "succeeded")
    assert code == 0
    assert out.splitlines()[1].split()[:4] == ["job", "succeeded", "2/2", "1/1"]
    assert run.server.jobs.asked[0].state == pb.JOB_STATE_SUCCEEDED
    assert json.loads(run("jobs", "--json")[1])["arguments"]["prompt"] == "a red apple"
    assert run("cancel", "job")[:2] == (0, "cancelled\n")
    assert run.server.jobs.cancelled == ["job"]
    assert run("finish", "job", "-o", "early.png")[:2] == (0, "early.png\n")
    assert run("fork", "job", "--step", "2", "--prompt", "a plum", "-q")[:2] == (0, "forked\n")
    fork = run.server.jobs.asked[-1]
    assert (fork.step, fork.changes.prompt, fork.changes.HasField("seed")) == (2, "a plum", False)
    code, out, err = run("fork", "job", "--attach", "-o", "plum.png")
    assert (code, out, err.splitlines()[0]) == (0, "plum.png\n", "forked")


def test_estimate_and_verify(run: Any, tmp_path: Path) -> None:
    assert run("estimate", "p")[1].splitlines() == [
        "total   2.0 s (1.0 to 4.0) (a guess: such steps were never run here)",
        "wait    0.0 s (0.0 to 0.0)",
        "work    2.0 s (1.0 to 4.0)",
        "memory  2.0 GiB, which fits",
    ]
    written(tmp_path / "apple.png", fake.picture())
    assert run("verify", "apple.png")[:2] == (1, "not the same: pixels differ by up to 3 of 255\n")


def test_ctrl_c_only_detaches(tmp_path: Path) -> None:
    def endless(request: pb.AttachRequest, context: grpc.ServicerContext) -> Iterator[pb.AttachResponse]:
        server.called.set()
        yield pb.AttachResponse(job_id="job", sequence=1, queued=images.Queued())
        fake.sleeping(request, context)

    with serve(attach=endless, get_job=lambda *_: pb.GetJobResponse(job=job(state=pb.JOB_STATE_RUNNING))) as server:
        argv = [sys.executable, "-m", "safelight", "attach", "job", "--address", server.address]
        process = subprocess.Popen(argv, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        assert server.called.wait(FOREVER)
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=FOREVER)[1]
        assert (process.returncode, server.jobs.cancelled) == (130, [])
    assert told == "safelight: detached; attach again with: safelight attach job\n"


@pytest.mark.parametrize("command", ["generate", "stream"])
def test_ctrl_c_on_a_call_that_draws_stops_its_job(tmp_path: Path, command: str) -> None:
    with serve(generate=fake.sleeping, stream=fake.endless) as server:
        argv = [sys.executable, "-m", "safelight", command, "p", "--address", server.address]
        process = subprocess.Popen(argv, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        assert server.called.wait(FOREVER)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=FOREVER)[1] == "safelight: cancelled\n"
        assert server.jobs.left.wait(FOREVER)
        assert server.jobs.cancelled == ["job"]
