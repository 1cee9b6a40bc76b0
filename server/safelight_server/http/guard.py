"""What every request passes first: is it meant for this server, who sends it, and does no page of another host do so?

It gives each its id, for the log and for `x-request-id`, puts the same safe headers on all answers, and gives up those
that nobody takes.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
import socket
import time
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from safelight_server.access.bearer import token_in
from safelight_server.access.tokens import Tokens
from safelight_server.callers import EVERYBODY, Caller, Right, calling, trace_in, tracing
from safelight_server.errors import JobError
from safelight_server.logs import printable, request_id
from safelight_server.observer import SILENT, Observer

from .failures import DOOR, Failures, ForeignHost, ForeignOrigin

log = logging.getLogger(__name__)

PATIENCE = 60.0  # seconds in which a reader must take something
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
}
READING = ("GET", "HEAD", "OPTIONS")
OPEN = ("/healthz", "/readyz")
READS = ("/api/estimate",)  # though it is posted


class Guard:
    """`host` is what the server listens on. One that listens everywhere answers to any IP address.

    With `tokens`, only those who have one are let in, by any name of the server: then no page of another host can do
    anything by a name of its own, for a browser sends the token to no other name than the one it was given for.
    """

    def __init__(
        self,
        app: ASGIApp,
        failures: Failures,
        host: str,
        tokens: Tokens | None = None,
        observer: Observer = SILENT,
    ) -> None:
        self._app, self._failures, self._tokens, self._observer = app, failures, tokens, observer
        self._names = {host.strip("[]").lower(), "localhost", socket.gethostname().lower()}
        self._anywhere, self._here = is_anywhere(host), _is_loopback(host.strip("[]").lower())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers, began, status = Headers(scope=scope), time.monotonic(), 0
        told_caller, told_trace = calling.set(EVERYBODY), tracing.set(trace_in(headers.items()))
        self._observer.call_began(DOOR)
        told_id = request_id.set(printable(headers.get("x-request-id", "")) or secrets.token_hex(8))

        async def send_safely(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answer = MutableHeaders(scope=message)
                answer["x-request-id"] = request_id.get()
                for name, value in HEADERS.items():
                    answer.setdefault(name, value)
            async with asyncio.timeout(PATIENCE):
                await send(message)

        try:
            calling.set(self._checked(scope["method"], scope["path"], headers))
        except JobError as refusal:
            app: ASGIApp = self._failures.answer(refusal, scope["path"])
        else:
            app = self._app
        try:
            await app(scope, receive, send_safely)
        except TimeoutError:
            log.info("%s %s: its reader took nothing for %g s", scope["method"], scope["path"], PATIENCE)
        finally:
            log.info("%s %s: %d in %.3f s", scope["method"], scope["path"], status, time.monotonic() - began)
            request_id.reset(told_id)
            calling.reset(told_caller)
            tracing.reset(told_trace)

    def _checked(self, method: str, path: str, headers: Headers) -> Caller:
        """Who sends a request that is to be answered. Raises JobError for all others."""
        host = headers.get("host", "")
        if self._tokens is None and not self._is_ours(host):
            raise ForeignHost(host)
        if method not in READING:
            origin = headers.get("origin")
            if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
                raise ForeignOrigin(origin)
            if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
                raise ForeignOrigin(headers.get("sec-fetch-site", ""))
        if self._tokens is None or (path in OPEN and method in READING):
            return EVERYBODY
        caller = self._tokens.caller(token_in(headers.get("authorization")))
        caller.check(Right.READ if method in READING or path in READS else Right.DRAW)
        return caller

    def _is_ours(self, host: str) -> bool:
        """A name that anybody may own could lead here for a moment (DNS rebinding); an IP address cannot."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        return name in self._names or (_is_ip(name) and (self._anywhere or (self._here and _is_loopback(name))))


def is_anywhere(host: str) -> bool:
    """Whether it stands for all addresses of this machine."""
    return host.strip("[]") in ("0.0.0.0", "::", "")


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return name == "localhost" or (_is_ip(name) and ipaddress.ip_address(name).is_loopback)
