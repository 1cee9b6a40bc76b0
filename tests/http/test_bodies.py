"""Bodies of requests: too large, too slow, too many at a time, or broken."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import httpx
import pytest
from safelight.v1 import images_pb2 as pb
from safelight_server.desk import Desk
from safelight_server.errors import InvalidRequest, JobError
from safelight_server.http import bodies, connections
from safelight_server.http.a1111 import fields as a1111
from safelight_server.http.door import Door, all_routes
from safelight_server.http.failures import BodiesWaiting, Gone, TooLarge, TooSlow
from safelight_server.http.metrics import Metrics
from safelight_server.http.openai import fields as openai
from starlette.requests import Request
from starlette.types import Message


def request(pieces: Sequence[bytes], *, ends: str = "http.request", pause: float = 0.0, **headers: str) -> Request:
    """Whose body comes in these pieces, and ends so."""
    waiting = [*pieces]

    async def receive() -> Message:
        await asyncio.sleep(pause)
        if waiting:
            return {"type": "http.request", "body": waiting.pop(0), "more_body": True}
        return {"type": ends, "body": b"", "more_body": False}

    lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "headers": lines}, receive)


def read(asked: Request, most: int = 100) -> bytes:
    return asyncio.run(bodies.read(asked, most))


def test_a_body_in_pieces() -> None:
    assert read(request([b"a", b"b"])) == b"ab"
    assert bodies.READING.bytes == 0


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        (request([b"x" * 60] * 2), TooLarge),
        (request([], content_length="101"), TooLarge),
        (request([b"x"], ends="http.disconnect"), Gone),
    ],
)
def test_a_body_that_is_not_read_to_its_end(asked: Request, error: type[JobError]) -> None:
    with pytest.raises(error):
        read(asked)
    assert bodies.READING.bytes == 0


def test_a_body_that_stops_coming(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "PATIENCE", 0.01)
    with pytest.raises(TooSlow):
        read(request([b"x"], pause=0.1))


def test_many_bodies_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MOST_OF_ALL", 100)

    async def test() -> list[Any]:
        asked = [request([b"x" * 30] * 2, pause=0.01) for _ in range(2)]
        return await asyncio.gather(*(bodies.read(one, 100) for one in asked), return_exceptions=True)

    first, second = asyncio.run(test())
    assert len(first) == 60
    assert isinstance(second, BodiesWaiting)
    assert bodies.READING.bytes == 0


@pytest.mark.parametrize("body", [b"{", b"[1]", b"7", b"\xff", b"[" * 100_000])
def test_what_is_no_json_object(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        asyncio.run(bodies.read_json(request([body]), 10**6))


@pytest.mark.parametrize("body", [b"", b"--x", b"--x\r\nContent-Disposition: form-data\r\n\r\nhi\r\n--x--"])
def test_what_is_no_form(body: bytes) -> None:
    """It is refused, or has no parts, which is for its reader to refuse."""
    try:
        form = asyncio.run(bodies.read_form(request([body], content_type="multipart/form-data; boundary=x"), 1000))
    except InvalidRequest:
        return
    assert not form


ODD: list[Any] = [None, True, -1, 0, 1.5, 1e308, 10**30, "", "x", "\ud800", "7", [], [1], {}, {"a": 1}, [None], "\0"]


@pytest.mark.parametrize("name", [*openai.FIELDS, *openai.IGNORED, *openai.REFUSED, "\ud800", ""])
@pytest.mark.parametrize("asked", [pb.GenerateRequest, pb.RefineRequest])
def test_no_value_is_too_odd_for_openais_fields(name: str, asked: Any) -> None:
    for value in ODD:
        with suppress(InvalidRequest):
            openai.read({"prompt": "x", name: value}, asked())


A1111 = [*a1111.PLAIN, *a1111.REFUSED, "batch_size", "n_iter", "sampler_name", "sampler_index", "scheduler", "eta"]
A1111 += ["override_settings", "refiner_checkpoint", "refiner_switch_at", "init_images", "mask", "mask_blur"]


@pytest.mark.parametrize("name", A1111)
def test_no_value_is_too_odd_for_a1111s_fields(name: str) -> None:
    for value in ODD:
        for from_picture in (False, True):
            with suppress(InvalidRequest):
                a1111.read({"sampler_name": "DDIM", name: value}, "m", from_picture=from_picture)


def test_what_is_odd_is_refused_and_not_failed_on(http: httpx.Client) -> None:
    asked: dict[str, list[Any]] = {
        "/v1/images/generations": [{"\ud800": 1}, {"prompt": "\ud800"}, {"prompt": "x", "model": "\0"}],
        "/sdapi/v1/txt2img": [{"prompt": "\ud800"}, {"override_settings": {"sd_model_checkpoint": "\ud800"}}],
        "/sdapi/v1/options": [{"sd_model_checkpoint": "\ud800"}, {"sd_model_checkpoint": [1]}],
        "/api/jobs": [{"generate": value} for value in ODD if value is not None],
        "/api/estimate": [{"generate": {"prompt": value}} for value in ODD if not isinstance(value, str)],
    }
    for path, odd in asked.items():
        for body in odd:
            answer = http.post(path, content=json.dumps(body))
            assert answer.status_code < 500, (path, body, answer.text)


WHOLE = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("sent", [[b""], [WHOLE[:20]], [WHOLE, b"GET"]], ids=["none", "a part", "the next"])
def test_a_connection_that_asks_for_nothing_is_closed(monkeypatch: pytest.MonkeyPatch, sent: list[bytes]) -> None:
    monkeypatch.setattr(connections, "PATIENCE", 0.5)

    async def test() -> bytes:
        opened = Door(all_routes(Desk(), Metrics(Desk())), "127.0.0.1", 0)
        port = (await opened.open()).rpartition(":")[2]
        reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
        for piece in sent:
            writer.write(piece)
            await asyncio.sleep(0.2)
        told = b""
        with suppress(ConnectionResetError):
            told = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        await opened.close(1)
        return told

    assert asyncio.run(test()).startswith(b"HTTP/1.1 200" if WHOLE in sent else b"")
