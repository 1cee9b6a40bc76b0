"""The log of a real server: whose reader stopped, whose file is closed, and which lines a call leaves in it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from safelight.v1 import images_pb2 as pb
from safelight.v1.images_pb2_grpc import ImageServiceStub
from support import compiled
from support.asking import JOB, LONG
from support.raw_http2 import DATA, RawClient
from support.servers import ServerProcess, models

SERVING = health_pb2.HealthCheckResponse.SERVING
GENERATE = "/safelight.v1.ImageService/Generate"


@contextmanager
def serving(folders: dict[str, str], redirect: str) -> Iterator[tuple[subprocess.Popen[bytes], grpc.Channel]]:
    """A server whose standard files a shell has redirected, once its health says that it serves."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    options = ["--listen", address, f"--cache-dir={compiled.folder()}", "--no-verify", *models(folders, "base")]
    serve = ["-m", "safelight_server", "serve", *options]
    command = ["sh", "-c", f'exec "$@" {redirect}', "sh", sys.executable, *serve]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process, grpc.insecure_channel(address) as channel:
        try:
            stub, deadline = health_pb2_grpc.HealthStub(channel), time.monotonic() + 120
            while process.poll() is None and time.monotonic() < deadline:
                with suppress(grpc.RpcError):
                    if stub.Check(health_pb2.HealthCheckRequest(), timeout=5).status == SERVING:
                        break
                time.sleep(0.1)
            assert process.poll() is None, f"it ended with {process.returncode}"
            yield process, channel
        finally:
            process.kill()


def test_a_log_that_nobody_reads_holds_nobody_up(folders: dict[str, str]) -> None:
    with serving(folders, "") as (process, channel):
        stub, health = ImageServiceStub(channel), health_pb2_grpc.HealthStub(channel)
        for _ in range(1500):  # a pipe holds some 400 of these lines
            with pytest.raises(grpc.RpcError, match="NOT_FOUND"):
                stub.Generate(pb.GenerateRequest(model="no such model" * 6), timeout=30)
        assert health.Check(health_pb2.HealthCheckRequest(), timeout=30).status == SERVING
        process.terminate()
        assert process.wait(30) == 0
        assert process.stderr
        lines = process.stderr.read().splitlines()
        assert sum(b"MODEL_NOT_FOUND" in line for line in lines) > 100, "what the pipe took is not there"


@pytest.mark.parametrize("closed", ["2>&-", "0<&- 1>&- 2>&-"])
def test_a_server_without_standard_files_serves(closed: str, folders: dict[str, str]) -> None:
    with serving(folders, closed) as (process, channel):
        assert ImageServiceStub(channel).Generate(pb.GenerateRequest(**JOB)).images
        process.terminate()
        assert process.wait(30) == 0


def test_lines_appear_where_the_home_folder_cannot_be_written(
    folders: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/proc")  # not even by root
    with ServerProcess(*models(folders, "base"), "--no-verify") as process:
        assert len(process.log().splitlines()) >= 3


@pytest.mark.parametrize("sent", [b"p\xc3\xa4int-7", b"p\xff\xfeint-7", b"paint\x7f-7"])
def test_an_id_that_is_not_ascii_is_told_without_what_metadata_cannot_hold(sent: bytes, server: ServerProcess) -> None:
    with RawClient(server.address) as client:
        stream = client.call(GENERATE, pb.GenerateRequest(**JOB).SerializeToString(), {"x-request-id": sent})
        client.wait_for(DATA, stream)  # the picture; a call that failed has none
    assert "unexpected" not in server.log()


def test_a_cancelled_job_leaves_a_line_of_its_own(server: ServerProcess) -> None:
    """However it is cancelled: by the client, by its deadline, or with the connection."""

    def drawing(name: str, timeout: float) -> grpc.Channel:
        channel = grpc.insecure_channel(server.address, options=(("grpc.use_local_subchannel_pool", 1),))
        request = pb.StreamRequest(generate=pb.GenerateRequest(**LONG))
        call = ImageServiceStub(channel).Stream(request, timeout=timeout, metadata=(("x-request-id", name),))
        with suppress(grpc.RpcError):
            any(response.HasField("progress") for response in call)
        if name == "by-client":
            call.cancel()
        return channel

    for name, timeout in (("by-client", 60), ("by-deadline", 1), ("by-connection", 60)):
        drawing(name, timeout).close()
        server.wait_for(f"{name:16} cancelled after", patience=60)
