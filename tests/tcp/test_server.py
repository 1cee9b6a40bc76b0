"""The process: an option that is misspelt is ignored in silence, so each has a test that fails without it."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from safelight.v1 import images_pb2 as pb
from safelight.v1.images_pb2_grpc import ImageServiceStub
from safelight_server.server import CHANNEL_OPTIONS
from support.failures import failure
from support.servers import ServerProcess

MIB = 2**20
Health = health_pb2.HealthCheckRequest


@pytest.fixture(scope="module")
def demo() -> Iterator[ServerProcess]:
    with ServerProcess("--slots=1") as process:
        yield process


def test_every_option_has_its_test() -> None:
    """so_reuseport is in test_loader.py: two servers do not share a port."""
    assert {name for name, _ in CHANNEL_OPTIONS} == {
        "grpc.so_reuseport",
        "grpc.max_receive_message_length",
        "grpc.max_concurrent_streams",
        "grpc.http2.min_ping_interval_without_data_ms",
        "grpc.keepalive_time_ms",
        "grpc.http2.ping_timeout_ms",
    }


def test_requests_may_be_large_and_not_too_large(demo: ServerProcess) -> None:
    with grpc.insecure_channel(demo.address, options=(("grpc.max_send_message_length", 64 * MIB),)) as channel:
        stub = ImageServiceStub(channel)
        assert "image" in failure(lambda: stub.Refine(pb.RefineRequest(image=bytes(20 * MIB)))).violations
        with pytest.raises(grpc.RpcError, match="RESOURCE_EXHAUSTED"):
            stub.Refine(pb.RefineRequest(image=bytes(33 * MIB)))


def test_one_connection_has_so_many_calls_at_a_time(demo: ServerProcess) -> None:
    """Health watches stand for calls: 32 are open, the next has to wait until one ends."""

    async def run() -> None:
        async with grpc.aio.insecure_channel(demo.address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            watches = [stub.Watch(Health()) for _ in range(32)]
            for watch in watches:
                await watch.read()
            with pytest.raises(grpc.aio.AioRpcError, match="DEADLINE_EXCEEDED"):
                await stub.Check(Health(), timeout=0.5)
            watches[0].cancel()
            assert (await stub.Check(Health(), timeout=20)).status == health_pb2.HealthCheckResponse.SERVING
            for watch in watches:
                watch.cancel()

    asyncio.run(run())


def test_a_client_may_keep_its_connection_alive_between_steps(demo: ServerProcess) -> None:
    """By default a server ends a connection that pings more than every five minutes: GOAWAY, too_many_pings."""
    options = (("grpc.keepalive_time_ms", 6000), ("grpc.http2.max_pings_without_data", 0))
    with grpc.insecure_channel(demo.address, options=options) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(Health())
        next(watch)
        with pytest.raises(grpc.RpcError) as caught:  # the watch tells nothing new until our own deadline
            list(health_pb2_grpc.HealthStub(channel).Watch(Health(), timeout=26))
        error: Any = caught.value
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED, error.details()
        watch.cancel()


@pytest.mark.parametrize("call", ["stream", "generate"])
def test_a_frozen_client_is_noticed(call: str, demo: ServerProcess) -> None:
    """Its kernel still answers TCP; only the keepalive finds out. 10 + 5 seconds, and the slot is free."""
    command = [sys.executable, "-c", FROZEN[call], demo.address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout
        assert client.stdout.readline() == "drawing\n"
        client.send_signal(signal.SIGSTOP)
        try:
            with grpc.insecure_channel(demo.address) as channel:
                ImageServiceStub(channel).Generate(pb.GenerateRequest(prompt="x", steps=1), timeout=24)
        finally:
            client.kill()


BEGIN = """
import sys, time, grpc
from safelight.v1 import images_pb2 as pb, images_pb2_grpc
stub = images_pb2_grpc.ImageServiceStub(grpc.insecure_channel(sys.argv[1]))
job = pb.GenerateRequest(prompt="x", width=1024, height=1024, steps=150, num_images=16)
"""
FROZEN = {
    "stream": f"""{BEGIN}
for response in stub.Stream(pb.StreamRequest(generate=job)):
    if response.HasField("progress"):
        print("drawing", flush=True)
""",
    # Over this call nothing is sent until the pictures are done.
    "generate": f"""{BEGIN}
call = stub.Generate.future(job)
time.sleep(1)
print("drawing", flush=True)
call.result()
""",
}


def test_health_is_there_for_the_whole_the_service_and_each_model(demo: ServerProcess) -> None:
    with grpc.insecure_channel(demo.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", "safelight.v1.ImageService", "demo-xl", "demo-vega", "demo-refiner"):
            assert stub.Check(Health(service=name)).status == health_pb2.HealthCheckResponse.SERVING


def test_not_serving_until_all_is_warm(folders: dict[str, str]) -> None:
    models = [f"--model={kind}={folder}" for kind, folder in folders.items()]
    with ServerProcess(*models, ready="listening on") as process, grpc.insecure_channel(process.address) as channel:
        health, images = health_pb2_grpc.HealthStub(channel), ImageServiceStub(channel)
        assert health.Check(Health()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        early = failure(lambda: images.ListModels(pb.ListModelsRequest()))
        assert (early.code, early.reason) == (grpc.StatusCode.UNAVAILABLE, "LOADING")
        assert early.retry_delay
        for response in health.Watch(Health(), timeout=120):
            if response.status == health_pb2.HealthCheckResponse.SERVING:
                break
        assert len(images.ListModels(pb.ListModelsRequest()).models) == len(models)


def test_sigint_while_loading_ends_it(folders: dict[str, str]) -> None:
    models = [f"--model={kind}={folder}" for kind, folder in folders.items()]
    with ServerProcess(*models, ready="listening on") as process:
        process.process.send_signal(signal.SIGINT)
        assert process.process.wait(60) == 0
        assert "Traceback" not in process.log()


def test_an_idle_server_leaves_its_port_at_once() -> None:
    with ServerProcess() as process:
        assert process.stop() == 0
        host, _, port = process.address.rpartition(":")
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((host, int(port)), timeout=1).close()


def test_a_model_with_threads_of_its_own_has_a_lane_of_its_own() -> None:
    with ServerProcess("--threads=demo-vega=1", "--no-verify") as process:
        lanes = dict(re.findall(r"model (\S+) is loaded and warm: .* on (.*)", process.log()))
        with grpc.insecure_channel(process.address) as channel:
            stub = ImageServiceStub(channel)
            assert stub.Generate(pb.GenerateRequest(prompt="an owl", model="demo-vega")).images
    assert lanes == {"demo-xl": "CPU", "demo-vega": "CPU of demo-vega", "demo-refiner": "CPU"}
