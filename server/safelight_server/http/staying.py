"""Answers that take long: work that stops when its caller leaves, and streams of events that keep the line alive."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from safelight_server.errors import JobError, Unexpected

from .failures import Gone

log = logging.getLogger(__name__)

T = TypeVar("T")

BEAT = 15.0  # seconds after which a line that is silent is told that it is alive
PING = b": ping\n\n"


async def while_here(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives; it is cancelled when the caller leaves. Only after the request's body is read."""
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_left(request.receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Gone
        return working.result()
    finally:
        await _end(working, leaving)


def event(name: str, data: str, number: int | None = None) -> bytes:
    """One server-sent event; `data` has no line breaks."""
    head = "" if number is None else f"id: {number}\n"
    return f"{head}event: {name}\ndata: {data}\n\n".encode()


async def to_the_end(
    events: AsyncGenerator[bytes, None], failed: Callable[[JobError], bytes]
) -> AsyncGenerator[bytes, None]:
    """The events of a stream that has begun: only an event can tell of an error any more."""
    try:
        async with aclosing(events):
            async for told in events:
                yield told
    except JobError as error:
        log.info("failed: %s %s", error.reason, error)
        yield failed(error)
    except Exception:
        log.exception("unexpected error")
        yield failed(Unexpected())


class EventStream(Response):
    """Server-sent events, as `events` gives them. Each is sent before the next is asked for: a slow reader gets fewer
    previews and holds up nobody. `events` is closed when the reader leaves.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes, None], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(None, headers={"cache-control": "no-store", "x-accel-buffering": "no", **(headers or {})})
        del self.headers["content-length"]
        self._events = events
        self._sending = asyncio.Lock()
        self._sent = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        telling = asyncio.create_task(self._tell(send))
        others = asyncio.create_task(_left(receive)), asyncio.create_task(self._beat(send))
        try:
            await asyncio.wait((telling, *others), return_when=asyncio.FIRST_COMPLETED)
            if telling.done():
                telling.result()
        finally:
            await _end(telling, *others)

    async def _tell(self, send: Send) -> None:
        async with aclosing(self._events) as events:
            async for told in events:
                await self._send(send, told)
        await self._send(send, b"", more=False)

    async def _beat(self, send: Send) -> None:
        while True:
            await asyncio.sleep(max(0.0, self._sent + BEAT - time.monotonic()))
            if time.monotonic() - self._sent >= BEAT and not self._sending.locked():
                await self._send(send, PING)

    async def _send(self, send: Send, body: bytes, *, more: bool = True) -> None:
        async with self._sending:
            await send({"type": "http.response.body", "body": body, "more_body": more})
            self._sent = time.monotonic()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _end(*tasks: asyncio.Task[Any]) -> None:
    """Cancels them, and waits until they are over: what they hold is let go by then."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, Exception):
            await task
