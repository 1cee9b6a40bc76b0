"""The process: an option that is misspelt is ignored in silence, so each has a test that fails without it."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from safelight.v1 import images_pb2 as pb
from safelight.v1.images_pb2_grpc import ImageServiceStub
from safelight_server.rpc import peer_limits
from support.asking import generate
from support.client_process import drawing_for
from support.failures import failure
from support.servers import ServerProcess, models

MIB = 2**20
HOWS = ("read", "generate")
Health = health_pb2.HealthCheckRequest
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture(scope="module")
def frozen(folders: dict[str, str]) -> Iterator[ServerProcess]:
    """A server that draws for clients that have just frozen, one of each way to ask."""
    options = ("--slots=2", "--max-wait=1000000", "--threads=1", "--no-verify")  # a core is left for the other tests
    with ServerProcess(*models(folders, "base"), *options) as process, ExitStack() as stack:
        for how in HOWS:
            stack.enter_context(drawing_for(process, how, f"frozen-{how}")).send_signal(signal.SIGSTOP)
        yield process


@pytest.fixture(scope="module")
def pinging(server: ServerProcess) -> Iterator[Future[Any]]:
    """How a call ends on a connection that pings all the time."""
    options = (("grpc.keepalive_time_ms", 5500), ("grpc.http2.max_pings_without_data", 0))
    with grpc.insecure_channel(server.address, options) as channel, ThreadPoolExecutor(1) as pool:
        watch = health_pb2_grpc.HealthStub(channel).Watch(Health(), timeout=24)  # its fourth ping would be one too many
        assert next(watch).status == SERVING  # and it tells nothing new until our own deadline

        def end() -> Any:
            with pytest.raises(grpc.RpcError) as caught:
                list(watch)
            return caught.value

        yield pool.submit(end)
        watch.cancel()


@pytest.mark.usefixtures("pinging")
def test_clients_begin_to_be_silent(frozen: ServerProcess) -> None:
    """What becomes of them takes long: the other tests run meanwhile, and the last ones look."""
    assert frozen.log().count("drawing 16 of") == len(HOWS)


def test_every_option_has_its_test() -> None:
    """so_reuseport is in tests/commands/test_serve.py: two servers do not share a port."""
    assert {name for name, _ in peer_limits.options()} == {
        "grpc.so_reuseport",
        "grpc.max_receive_message_length",
        "grpc.max_concurrent_streams",
        "grpc.http2.min_ping_interval_without_data_ms",
        "grpc.keepalive_time_ms",
        "grpc.http2.ping_timeout_ms",
        "grpc.server_handshake_timeout_ms",  # test_connections.py has the last three
        "grpc.max_connection_idle_ms",
        "grpc.max_allowed_incoming_connections",
    }


def test_requests_may_be_large_and_not_too_large(server: ServerProcess) -> None:
    with grpc.insecure_channel(server.address, options=(("grpc.max_send_message_length", 64 * MIB),)) as channel:
        stub = ImageServiceStub(channel)
        assert "image" in failure(lambda: stub.Refine(pb.RefineRequest(image=bytes(20 * MIB)))).violations
        with pytest.raises(grpc.RpcError, match="RESOURCE_EXHAUSTED"):
            stub.Refine(pb.RefineRequest(image=bytes(33 * MIB)))


def test_one_connection_has_so_many_calls_at_a_time(server: ServerProcess) -> None:
    """Health watches stand for calls: 32 are open, the next has to wait until one ends."""

    async def run() -> None:
        connection_of_its_own = (("grpc.use_local_subchannel_pool", 1),)
        async with grpc.aio.insecure_channel(server.address, connection_of_its_own) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            watches = [stub.Watch(Health()) for _ in range(32)]
            for watch in watches:
                await watch.read()
            with pytest.raises(grpc.aio.AioRpcError, match="DEADLINE_EXCEEDED"):
                await stub.Check(Health(), timeout=0.5)
            watches[0].cancel()
            assert (await stub.Check(Health(), timeout=20)).status == SERVING
            for watch in watches:
                watch.cancel()

    asyncio.run(run())


def test_health_is_there_for_the_whole_the_service_and_each_model(
    server: ServerProcess, folders: dict[str, str]
) -> None:
    with grpc.insecure_channel(server.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", "safelight.v1.ImageService", *folders):
            assert stub.Check(Health(service=name)).status == SERVING


def _listed(images: ImageServiceStub) -> list[pb.Model]:
    """None until the server knows which models there are."""
    try:
        return list(images.ListModels(pb.ListModelsRequest()).models)
    except grpc.RpcError:
        return []


def test_not_serving_until_all_is_warm(folders: dict[str, str], tmp_path: Path) -> None:
    two = [*models(folders, "base", "vega_lcm"), f"--cache-dir={tmp_path}"]  # nothing is there: it takes its time
    with ServerProcess(*two, ready="listening on") as process, grpc.insecure_channel(process.address) as channel:
        health, images = health_pb2_grpc.HealthStub(channel), ImageServiceStub(channel)
        assert health.Check(Health()).status == NOT_SERVING
        early = failure(lambda: images.ListModels(pb.ListModelsRequest()))
        assert (early.code, early.reason) == (grpc.StatusCode.UNAVAILABLE, "LOADING"), "which models there are"
        assert early.retry_delay
        while not (listed := _listed(images)):
            time.sleep(0.02)
        assert [model.name for model in listed] == ["base", "vega_lcm"]
        request = pb.GenerateRequest(prompt="a red apple", model="vega_lcm", steps=1)
        assert len(images.Generate(request).images) == 1, "it waits for its model"
        assert health.Check(Health(service="vega_lcm")).status == SERVING
        for response in health.Watch(Health(), timeout=120):
            if response.status == SERVING:
                break
        assert len(images.ListModels(pb.ListModelsRequest()).models) == 2


def test_sigint_while_loading_ends_it(folders: dict[str, str]) -> None:
    with ServerProcess(*models(folders), ready="listening on") as process:
        process.process.send_signal(signal.SIGINT)
        assert process.process.wait(60) == 0
        assert "Traceback" not in process.log()


def test_an_idle_server_leaves_its_port_at_once(folders: dict[str, str]) -> None:
    with ServerProcess(*models(folders, "base")) as process:
        assert process.stop() == 0
        host, _, port = process.address.rpartition(":")
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((host, int(port)), timeout=1).close()


def test_a_model_with_threads_of_its_own_has_a_lane_of_its_own(folders: dict[str, str]) -> None:
    two = models(folders, "base", "vega_lcm")
    with ServerProcess(*two, "--threads=vega_lcm=1", "--no-verify") as process:
        lanes = dict(re.findall(r"model (\S+) is loaded and warm: .* on (.*?);", process.log()))
        with grpc.insecure_channel(process.address) as channel:
            assert generate(ImageServiceStub(channel), model="vega_lcm")
    assert lanes == {"base": "CPU", "vega_lcm": "CPU of vega_lcm"}


@pytest.mark.parametrize("how", HOWS)
def test_a_frozen_client_is_noticed(how: str, frozen: ServerProcess) -> None:
    """Its kernel still answers TCP; only the keepalive finds out, 10 + 5 seconds later, and the slot is free."""
    line = frozen.wait_for(f"frozen-{how} ", "cancelled after ", patience=100)
    assert float(line.split()[-2]) < 45, "without the options it is 70, or never; unread bytes are noticed in 20"
    with grpc.insecure_channel(frozen.address) as channel:
        assert generate(ImageServiceStub(channel))


def test_a_client_may_keep_its_connection_alive_between_steps(pinging: Future[Any]) -> None:
    """By default a server ends a connection that pings more than every five minutes: GOAWAY, too_many_pings."""
    error = pinging.result()
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED, error.details()
