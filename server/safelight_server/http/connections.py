"""Connections that ask for nothing: each is closed when a request does not come, or does not come whole, in time."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE = 15.0  # seconds for the head of a request, from the connection's start or from its first byte


class Connection(H11Protocol):
    """uvicorn's own, which waits for ever once the first byte has come, and for that byte."""

    _closing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop()

    def _watch(self) -> None:
        """While a request is answered, its own patience counts; between two, uvicorn's."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()
        elif self._closing is None:
            self._closing = self.loop.call_later(PATIENCE, self._close)

    def _stop(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None

    def _close(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()
