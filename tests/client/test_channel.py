"""The client over TCP against a scripted server: addresses, retries, deadlines, and what gRPC's options bring."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing
from typing import Any

import grpc
import pytest
import safelight
from safelight import Client
from safelight import client as sync_client
from safelight.addresses import target
from safelight.channel import OPTIONS
from safelight.v1 import images_pb2 as pb
from support import fake_server as fake
from support.clients import Connect
from support.clients import quick_retries as quick_retries
from support.fake_server import FOREVER, failing, serve


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("call", ["generate", "refine", "models"])
def test_unavailable_is_tried_again(connect: Connect, call: str) -> None:
    large = fake.picture() + bytes(2**20)  # more than gRPC keeps for another attempt by itself
    usual: dict[str, fake.Handler] = {
        "generate": fake.generated,
        "refine": fake.refined,
        "models": lambda *_: pb.ListModelsResponse(),
    }
    with serve(**{call: failing(2, usual[call])}) as server:
        client = connect(server.address)
        arguments: dict[str, list[Any]] = {"generate": ["p"], "refine": [large, "p"], "models": []}
        getattr(client, call)(*arguments[call])
        assert len(server.requests) == 3


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("resume", [True, False])
def test_a_stream_that_was_not_taken_is_tried_again_if_it_may(connect: Connect, resume: bool) -> None:
    with serve(stream=failing(1, fake.streamed)) as server:
        stream = connect(server.address).stream("p", resume=resume)
        if resume:
            assert stream.final().seeds == [7]
        else:
            with pytest.raises(safelight.Unavailable):
                stream.final()
        assert len(server.requests) == 1 + resume
        assert len({request.generate.request_id for request in server.sent}) == 1
        assert len(server.sent[0].generate.request_id) == (36 if resume else 0)


def test_what_is_not_unavailable_is_not_tried_again(connect: Connect) -> None:
    with serve(generate=failing(1, fake.generated, grpc.StatusCode.RESOURCE_EXHAUSTED)) as server:
        with pytest.raises(safelight.Busy):
            connect(server.address).generate("p")
        assert len(server.requests) == 1


@pytest.mark.parametrize("given", ["client", "call", "environment"])
def test_timeout(connect: Connect, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    if given == "environment":
        monkeypatch.setenv("SAFELIGHT_TIMEOUT", "0.05")
    named: Any = {"timeout": 0.05} if given == "call" else {}
    with serve(generate=fake.sleeping) as server:
        client = connect(server.address, timeout={"client": 0.05, "call": 60}.get(given))
        with pytest.raises(safelight.TimedOut):
            client.generate("p", **named)
        assert server.gone.wait(FOREVER)


def test_timeout_of_a_stream(connect: Connect) -> None:
    """Of the whole stream, not of one event."""
    with serve(stream=fake.endless) as server, connect(server.address).stream("p", timeout=0.5) as stream:
        assert isinstance(next(stream), safelight.Queued)
        with pytest.raises(safelight.TimedOut):
            next(stream)


@pytest.mark.parametrize("value", ["soon", "-1", "0"])
def test_a_timeout_that_makes_no_sense(connect: Connect, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SAFELIGHT_TIMEOUT", value)
    with pytest.raises(ValueError, match="SAFELIGHT_TIMEOUT"):
        connect()
    with pytest.raises(ValueError, match="timeout=-1"):
        connect(timeout=-1)


def test_large_pictures_arrive(connect: Connect) -> None:
    large = pb.Image(data=bytes(6 * 2**20))  # gRPC's own limit is 4 MiB
    with serve(generate=lambda *_: fake.answer(large)) as server:
        assert connect(server.address).generate("p").files == [large.data]


def test_a_network_that_dies_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = ("grpc.keepalive_time_ms", "grpc.keepalive_timeout_ms", "grpc.http2.ping_timeout_ms")
    faster = dict.fromkeys(waits, 300)
    monkeypatch.setattr(sync_client, "OPTIONS", [(name, faster.get(name, value)) for name, value in OPTIONS])
    with serve(stream=fake.endless) as server, Dying(server.address) as relay, Client(relay.address) as client:
        stream = client.stream("p", timeout=FOREVER)
        next(stream)
        time.sleep(2.5)  # by now the pings that gRPC sends by default are used up
        relay.dead.set()
        with pytest.raises(safelight.Unavailable):
            next(stream)


class Dying:
    """Relays TCP to an address until `dead` is set; then bytes are lost, and the connections stay open."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.dead = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open = [self._listening]
        self._far = (host, int(port))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Dying:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        for connection in self._open:
            connection.close()

    def _accept(self) -> None:
        with closing(self._listening):
            near, far = self._listening.accept()[0], socket.create_connection(self._far)
            self._open += [near, far]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._relay, args=pair, daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if not self.dead.is_set():
                    sink.sendall(data)
        except OSError:
            return


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("host", "host:50051"),
        ("host:80", "host:80"),
        (":80", "localhost:80"),
        ("http://host:80/", "host:80"),
        ("127.0.0.1", "127.0.0.1:50051"),
        ("::1", "[::1]:50051"),
        ("[::1]:80", "[::1]:80"),
        ("unix:/run/safelight", "unix:/run/safelight"),
        ("dns:///host:80", "dns:///host:80"),
        (None, "elsewhere:50051"),
    ],
)
def test_addresses(monkeypatch: pytest.MonkeyPatch, address: str | None, expected: str) -> None:
    monkeypatch.setenv("SAFELIGHT_ADDRESS", "elsewhere")
    assert target(address) == (expected, False)
    monkeypatch.delenv("SAFELIGHT_ADDRESS")
    assert target(None) == ("localhost:50051", False)
    assert target("https://host") == ("host:443", True)
    assert target("https://host:1/") == ("host:1", True)
    with pytest.raises(ValueError, match="an address is host:port, https://host:port or unix:path"):
        target("ftp://host")
