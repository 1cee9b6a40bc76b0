"""The client over TCP against a scripted server: errors, retries, deadlines, cancelling."""

from __future__ import annotations

import asyncio
import gc
import pickle
import socket
import threading
import time
from contextlib import closing
from typing import Any

import grpc
import pytest
import safelight
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from safelight import AsyncClient, Client
from safelight import client as sync_client
from safelight.channel import OPTIONS, target
from safelight.errors import KINDS
from safelight.v1 import images_pb2 as pb
from support import fake_server as fake
from support.clients import Connect
from support.fake_server import failing, refuse, serve

FOREVER = 10.0  # seconds: what takes longer here hangs


# Errors


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
@pytest.mark.parametrize("call", ["generate", "stream"])
def test_every_status_has_its_exception(connect: Connect, code: grpc.StatusCode, call: str) -> None:
    handler: Any = lambda _, context: refuse(context, code, "no", ErrorInfo(reason="BECAUSE", metadata={"a": "b"}))  # noqa: E731
    with serve(generate=handler, stream=handler) as server:
        client = connect(server.address)
        with pytest.raises(KINDS[code]) as caught:
            client.generate("p") if call == "generate" else client.stream("p").final()
    error = caught.value
    assert type(error) is KINDS[code]
    assert (error.code, error.reason, error.message, str(error)) == (code.name, "BECAUSE", "no", "no")
    assert (error.metadata, error.violations, error.retry_after) == ({"a": "b"}, [], None)
    assert isinstance(error.__cause__, grpc.RpcError)


def test_every_bad_field_is_told(connect: Connect) -> None:
    bad = BadRequest(
        field_violations=[
            BadRequest.FieldViolation(field="width", description="must be a multiple of 8, not 13"),
            BadRequest.FieldViolation(field="steps", description="must be at least 1, not 0"),
        ]
    )
    delay = RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000))
    code = grpc.StatusCode.INVALID_ARGUMENT
    with serve(generate=lambda _, context: refuse(context, code, "2 bad fields", bad, delay)) as server:
        client = connect(server.address)
        with pytest.raises(safelight.InvalidRequest) as caught:
            client.generate("p")
    error = caught.value
    assert str(error).splitlines() == [
        "2 bad fields:",
        "  width: must be a multiple of 8, not 13",
        "  steps: must be at least 1, not 0",
    ]
    assert error.violations[1] == safelight.FieldViolation("steps", "must be at least 1, not 0")
    assert error.retry_after == 1.5
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.code, again.retry_after) == (str(error), error.code, 1.5)


def test_a_message_that_repeats_the_fields_is_not_told_twice() -> None:
    wrong = [safelight.FieldViolation("steps", "must be at least 1, not 0")]
    error = safelight.InvalidRequest("steps: must be at least 1, not 0", violations=wrong)
    assert str(error) == "the request was refused:\n  steps: must be at least 1, not 0"


# A status that is none; and one with two broken details and a good one.
BROKEN = Status(
    details=[
        Packed(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff\xff"),
        Packed(type_url="type.googleapis.com/no.such.Type", value=b"\xff"),
        Packed(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=ErrorInfo(reason="X").SerializeToString()),
    ]
).SerializeToString()


@pytest.mark.parametrize(("raw", "reason"), [(b"\xff\xffgarbage", ""), (BROKEN, "X"), (b"", "")])
def test_bad_details_do_not_hide_the_error(connect: Connect, raw: bytes, reason: str) -> None:
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    with serve(generate=lambda _, context: refuse(context, code, "full", raw=raw)) as server:
        client = connect(server.address)
        with pytest.raises(safelight.Busy, match="full") as caught:
            client.generate("p")
    assert caught.value.reason == reason


def test_no_server(connect: Connect) -> None:
    with pytest.raises(safelight.Unavailable, match="connect") as caught:
        connect("127.0.0.1:1").health()
    assert caught.value.reason == ""


# Retries, deadlines, limits


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


def test_a_stream_is_not_tried_again(connect: Connect) -> None:
    with serve(stream=failing(1, fake.streamed)) as server:
        with pytest.raises(safelight.Unavailable):
            connect(server.address).stream("p").final()
        assert len(server.requests) == 1


def test_what_is_not_unavailable_is_not_tried_again(connect: Connect) -> None:
    with serve(generate=failing(1, fake.generated, grpc.StatusCode.RESOURCE_EXHAUSTED)) as server:
        with pytest.raises(safelight.Busy):
            connect(server.address).generate("p")
        assert len(server.requests) == 1


@pytest.mark.parametrize("given", ["client", "call", "environment"])
def test_timeout(connect: Connect, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    if given == "environment":
        monkeypatch.setenv("SAFELIGHT_TIMEOUT", "0.3")
    named: Any = {"timeout": 0.3} if given == "call" else {}
    with serve(generate=fake.sleeping, stream=fake.endless) as server:
        client = connect(server.address, timeout={"client": 0.3, "call": 60}.get(given))
        with pytest.raises(safelight.TimedOut):
            client.generate("p", **named)
        assert server.gone.wait(FOREVER)
        with client.stream("p", **named) as stream:
            assert isinstance(next(stream), safelight.Queued)
            with pytest.raises(safelight.TimedOut):
                next(stream)


@pytest.mark.parametrize("told", ["soon", "-1", "0"])
def test_a_timeout_that_makes_no_sense(connect: Connect, monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    monkeypatch.setenv("SAFELIGHT_TIMEOUT", told)
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
        time.sleep(2.5)  # by now the pings that gRPC sends without being told so are used up
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
    assert target(address) == expected
    monkeypatch.delenv("SAFELIGHT_ADDRESS")
    assert target(None) == "localhost:50051"
    with pytest.raises(ValueError, match="plain text"):
        target("https://host")


# Cancelling


def test_leaving_a_stream_cancels_it(connect: Connect) -> None:
    with serve(stream=fake.endless) as server:
        with connect(server.address).stream("p") as stream:
            next(stream)
            assert not server.gone.is_set()
        assert server.gone.wait(FOREVER)
        with pytest.raises(safelight.Cancelled):
            stream.final()


def test_cancel(connect: Connect) -> None:
    with serve(stream=fake.endless) as server, connect(server.address).stream("p") as stream:
        next(stream)
        stream.cancel()
        assert server.gone.wait(FOREVER)
        with pytest.raises(safelight.Cancelled) as caught:
            next(stream)
        assert caught.value.code == "CANCELLED"


def test_dropping_a_stream_cancels_it() -> None:
    with serve(stream=fake.endless) as server, Client(server.address) as client:
        stream = client.stream("p")
        next(stream)
        del stream
        gc.collect()
        assert server.gone.wait(FOREVER)


@pytest.mark.parametrize("call", ["generate", "stream"])
def test_cancelling_a_task_cancels_its_call(call: str) -> None:
    async def read(client: AsyncClient) -> None:
        await (client.generate("p") if call == "generate" else client.stream("p").final())

    async def run(server: fake.FakeServer) -> None:
        async with AsyncClient(server.address) as client:
            task = asyncio.create_task(read(client))
            assert await asyncio.to_thread(server.called.wait, FOREVER)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(server.gone.wait, FOREVER)

    with serve(generate=fake.sleeping, stream=fake.endless) as server:
        asyncio.run(run(server))


def test_a_stream_cancelled_from_beside_does_not_look_like_a_cancelled_task() -> None:
    async def run(server: fake.FakeServer) -> None:
        async with AsyncClient(server.address) as client, client.stream("p") as stream:
            await anext(stream)
            reading = asyncio.create_task(stream.final())
            await asyncio.sleep(0.1)
            stream.cancel()
            with pytest.raises(safelight.Cancelled):
                await reading

    with serve(stream=fake.endless) as server:
        asyncio.run(run(server))
