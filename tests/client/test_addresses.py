"""Where the client finds its servers: proxies that do not count, several servers in turns, credentials, and waiting."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import safelight
from safelight import Client, Health
from safelight.__main__ import main
from safelight.addresses import has_several, is_loopback, target
from safelight.v1.images_pb2_grpc import add_ImageServiceServicer_to_server
from support import fake_server as fake
from support.clients import Connect
from support.clients import quick_retries as quick_retries
from support.fake_server import FOREVER, FakeServer, serve, serve_at


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("[::1]:80", True),
        ("[::ffff:127.0.0.1]:80", True),
        ("localhost", True),
        ("LOCALHOST:80", True),
        ("me.localhost:80", True),
        ("http://localhost:80/", True),
        (":80", True),
        ("0.0.0.0:80", True),
        ("unix:/run/safelight", True),
        ("unix-abstract:safelight", True),
        ("dns:///localhost:80", True),
        ("ipv4:127.0.0.1:80", True),
        ("ipv6:[::1]:80", True),
        ("127.0.0.1:1,127.0.0.2:2", True),
        ("127.0.0.1:1,10.0.0.1:2", False),
        ("10.0.0.1:80", False),
        ("host:80", False),
        ("localhost.example:80", False),
        ("127.example:80", False),
        ("[2001:db8::1]:80", False),
        ("dns:///host:80", False),
    ],
)
def test_loopback(address: str, expected: bool) -> None:
    assert is_loopback(target(address)[0]) == expected


PROXIES = ["http_proxy", "https_proxy", "grpc_proxy"]


@pytest.mark.parametrize("variable", PROXIES)
def test_a_loopback_address_asks_no_proxy(connect: Connect, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    with serve() as server:
        assert connect(server.address).health()
        assert connect(server.address.replace("127.0.0.1", "localhost")).health()


@pytest.mark.parametrize("variable", PROXIES)
def test_a_proxy_that_was_asked_is_told(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    with Client("192.0.2.1:50051") as client, pytest.raises(safelight.Unavailable) as caught:
        client.health(timeout=FOREVER)
    assert f"${variable} is set" in str(caught.value)


def test_no_server_is_told_in_words_that_help(connect: Connect) -> None:
    with pytest.raises(safelight.Unavailable) as caught:
        connect("127.0.0.1:1").health()
    text = "no server at 127.0.0.1:1: start one with safelight-server serve (failed to connect: connection refused)"
    assert (str(caught.value), caught.value.message) == (text, text)


def test_several_addresses_take_turns(connect: Connect) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(serve()) for _ in range(3)]
        client = connect([server.address for server in servers])
        assert has_several(client.address)
        _until(lambda: bool(client.models()) and all(server.requests for server in servers))
        before = [len(server.requests) for server in servers]
        for _ in range(12):
            client.generate("p")
        assert [len(server.requests) - old for server, old in zip(servers, before, strict=True)] == [4, 4, 4]


def test_a_server_that_is_not_ready_gets_no_calls(connect: Connect) -> None:
    with serve() as ready, serve() as loading:
        loading.health.set("", Health.NOT_SERVING)
        client = connect(f"{loading.address}, {ready.address}")
        for _ in range(6):
            client.generate("p")
        assert (len(ready.requests), len(loading.requests)) == (6, 0)
        loading.health.set("", Health.SERVING)
        _until(lambda: bool(client.models()) and bool(loading.requests))


@pytest.mark.usefixtures("quick_retries")
def test_several_servers_of_which_one_is_down_or_none_is_there(connect: Connect) -> None:
    with serve() as server:
        client = connect([server.address, "127.0.0.1:1"])
        for _ in range(5):
            client.generate("p")
    with pytest.raises(safelight.Unavailable, match=r"no server at ipv4:127.0.0.1:1,127.0.0.1:2: start one"):
        connect(["127.0.0.1:1", "127.0.0.1:2"]).health()


@pytest.mark.parametrize(
    ("addresses", "text"),
    [
        (["unix:/a", "host:1"], "host:port"),
        (["127.0.0.1:1", "[::1]:1"], "one kind"),
        (["nosuch.invalid:1", "127.0.0.1:1"], "cannot find 'nosuch.invalid'"),
        ([" ", ""], "host:port"),
        (["https://127.0.0.1:1", "127.0.0.2:2"], "must all be https, or none of them"),
    ],
)
def test_several_addresses_that_gRPC_cannot_take(addresses: list[str], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        target(addresses)


def _until(done: Any) -> None:
    end = time.monotonic() + FOREVER
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextmanager
def secured(path: Path) -> Iterator[FakeServer]:
    """A server that takes local credentials only."""
    server, fake_server = grpc.server(ThreadPoolExecutor(2)), FakeServer()
    add_ImageServiceServicer_to_server(fake_server, server)
    server.add_secure_port(f"unix:{path}", grpc.local_server_credentials(grpc.LocalConnectionType.UDS))
    server.start()
    try:
        yield fake_server
    finally:
        server.stop(0).wait()


def test_credentials_metadata_and_options_reach_grpc(connect: Connect, tmp_path: Path) -> None:
    credentials = grpc.local_channel_credentials(grpc.LocalConnectionType.UDS)
    with secured(tmp_path / "socket") as server:
        connect(f"unix:{tmp_path}/socket", credentials=credentials).generate("p")
        assert len(server.requests) == 1
    told: list[dict[str, Any]] = []

    def note(request: Any, context: grpc.ServicerContext) -> Any:
        told.append(dict(context.invocation_metadata()))
        return fake.generated(request, context)

    with serve(generate=note) as server:
        options = {"grpc.primary_user_agent": "mine", "grpc.max_receive_message_length": 2**21}
        connect(server.address, metadata={"Authorization": "Bearer x"}, channel_options=options).generate("p")
        connect(server.address, metadata=[("x-request-id", "my-own")]).generate("p")
    assert told[0]["authorization"] == "Bearer x"
    assert told[0]["user-agent"].startswith("mine")
    assert told[0]["safelight-max-response-bytes"] == str(2**21)
    assert told[1]["x-request-id"] == "my-own"


def test_waits_for_a_server_that_comes_and_gets_ready(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    come = threading.Event()

    def start() -> None:
        come.wait(FOREVER)
        with serve_at(address) as server:
            server.health.set("", Health.NOT_SERVING)
            time.sleep(0.2)
            server.health.set("", Health.SERVING)
            done.wait(FOREVER)

    done = threading.Event()
    thread = threading.Thread(target=start)
    thread.start()
    client = connect(address)
    with pytest.raises(safelight.Unavailable, match="no server at"):
        client.wait_until_ready(0.1)
    come.set()
    client.wait_until_ready(60)
    assert client.health()
    done.set()
    thread.join()


def test_waiting_ends(connect: Connect) -> None:
    with serve() as server:
        server.health.set("", Health.NOT_SERVING)
        with pytest.raises(TimeoutError, match=r"is not ready after 0.2 s: NOT_SERVING"):
            connect(server.address).wait_until_ready(0.2)
        with pytest.raises(ValueError, match="timeout=0"):
            connect(server.address).wait_until_ready(0)


@pytest.mark.parametrize("command", ["generate p", "stream p", "models", "health"])
def test_every_command_waits(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name, *rest = command.split()
    with serve() as server:
        monkeypatch.setenv("SAFELIGHT_ADDRESS", server.address)
        server.health.set("", Health.NOT_SERVING)
        threading.Timer(0.2, lambda: server.health.set("", Health.SERVING)).start()
        assert main([name, "--wait", *rest]) == 0  # no seconds, and a word behind it
        server.health.set("", Health.NOT_SERVING)
        assert main([name, *rest, "--wait", "0.1"]) == (1 if name == "health" else 5)
    assert len(server.requests) == (name != "health")
