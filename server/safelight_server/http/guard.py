"""What every request passes first: is it meant for this server, and does no page of another host send it?

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

from safelight_server.logs import printable, request_id

from .failures import Failures, ForeignHost, ForeignOrigin

log = logging.getLogger(__name__)

PATIENCE = 60.0  # seconds in which a reader must take something
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
}
READING = ("GET", "HEAD", "OPTIONS")


class Guard:
    """`host` is what the server listens on. One that listens everywhere answers to any IP address."""

    def __init__(self, app: ASGIApp, failures: Failures, host: str) -> None:
        self._app, self._failures = app, failures
        self._names = {host.strip("[]").lower(), "localhost", socket.gethostname().lower()}
        self._anywhere, self._here = is_anywhere(host), _is_loopback(host.strip("[]").lower())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers, began, status = Headers(scope=scope), time.monotonic(), 0
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
            if refusal := self._refusal(scope["method"], headers):
                answer = self._failures.answer(refusal, scope["path"])
                await answer(scope, receive, send_safely)
            else:
                await self._app(scope, receive, send_safely)
        except TimeoutError:
            log.info("%s %s: its reader took nothing for %g s", scope["method"], scope["path"], PATIENCE)
        finally:
            log.info("%s %s: %d in %.3f s", scope["method"], scope["path"], status, time.monotonic() - began)
            request_id.reset(told_id)

    def _refusal(self, method: str, headers: Headers) -> ForeignHost | ForeignOrigin | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return ForeignHost(host)
        if method in READING:
            return None
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return ForeignOrigin(origin)
        if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            return ForeignOrigin(headers.get("sec-fetch-site", ""))
        return None

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
