"""Answers that take long: heartbeats, readers that leave, readers that take nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest
from safelight_server.errors import StillLoading
from safelight_server.http import guard, staying
from safelight_server.http.failures import Failures, Gone, api_form
from safelight_server.http.guard import Guard
from safelight_server.http.staying import PING, EventStream, event, to_the_end, while_here
from starlette.requests import Request
from starlette.types import Message

SCOPE = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"localhost")]}


class Line:
    """A connection: what is sent over it, and when its other end leaves."""

    def __init__(self, on_send: Callable[[Message], Awaitable[None]] | None = None) -> None:
        self.sent: list[Any] = []
        self.left = asyncio.Event()
        self._on_send = on_send

    async def receive(self) -> Message:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self._on_send:
            await self._on_send(message)
        self.sent.append(message.get("body", message))


async def told(closed: list[str], *, wait: float = 0.0, error: Exception | None = None) -> AsyncGenerator[bytes, None]:
    try:
        yield event("one", "1", 1)
        await asyncio.sleep(wait)
        if error:
            raise error
        yield event("two", "2")
    finally:
        closed.append("closed")


def test_events_in_their_form() -> None:
    assert event("done", "{}", 7) == b"id: 7\nevent: done\ndata: {}\n\n"


def test_a_silent_line_has_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staying, "BEAT", 0.02)

    async def test() -> None:
        line = Line()
        await EventStream(told([], wait=0.1))(SCOPE, line.receive, line.send)
        assert line.sent[1] == event("one", "1", 1)
        assert line.sent[2] == PING
        assert line.sent[-2:] == [event("two", "2"), b""]
        assert line.sent.count(PING) in range(2, 6)

    asyncio.run(test())


def test_the_events_are_closed_when_the_reader_leaves() -> None:
    async def test() -> None:
        line, closed = Line(), list[str]()
        sending = asyncio.create_task(EventStream(told(closed, wait=60))(SCOPE, line.receive, line.send))
        await asyncio.sleep(0.01)
        line.left.set()
        await sending
        assert closed == ["closed"]

    asyncio.run(test())


def test_a_reader_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "PATIENCE", 0.02)

    async def stuck(message: Message) -> None:
        if message.get("body"):
            await asyncio.sleep(60)

    async def test() -> None:
        line, closed = Line(stuck), list[str]()
        await Guard(EventStream(told(closed)), Failures({}), "localhost")(SCOPE, line.receive, line.send)
        assert closed == ["closed"]

    asyncio.run(asyncio.wait_for(test(), 5))


@pytest.mark.parametrize(("error", "reason"), [(StillLoading(), "LOADING"), (ValueError("secret"), "INTERNAL")])
def test_an_error_is_the_last_event(error: Exception, reason: str) -> None:
    async def test() -> list[bytes]:
        def failed(error: Any) -> bytes:
            return event("failed", api_form(error)["error"]["reason"])

        return [line async for line in to_the_end(told([], error=error), failed)]

    assert asyncio.run(test())[1:] == [event("failed", reason)]


def test_work_stops_when_its_caller_leaves() -> None:
    async def test() -> None:
        line, stopped = Line(), list[str]()

        async def work() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                stopped.append("stopped")

        request = Request(SCOPE, line.receive)
        waiting = asyncio.create_task(while_here(request, work()))
        await asyncio.sleep(0.01)
        line.left.set()
        with pytest.raises(Gone):
            await waiting
        assert stopped == ["stopped"]

    asyncio.run(test())


def test_work_that_is_done_is_given() -> None:
    async def test() -> None:
        async def work() -> int:
            return 7

        assert await while_here(Request(SCOPE, Line().receive), work()) == 7

    asyncio.run(test())
