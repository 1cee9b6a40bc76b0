"""Waiting for a server to be ready: how long yet, what was seen last, and what to raise in the end."""

from __future__ import annotations

import time

from .errors import SafelightError, TimedOut, Unavailable
from .health import Health

PULSE = 0.5  # seconds between two looks
QUICK_LOOK = 5.0  # seconds that one may take


class Waiting:
    """One wait of at most `timeout` seconds."""

    def __init__(self, address: str, timeout: float) -> None:
        if not timeout > 0:
            raise ValueError(f"timeout={timeout}: how long to wait is a number of seconds above 0")
        self._address, self._timeout = address, timeout
        self._end = time.monotonic() + timeout
        self._ready = False
        self._seen = Health.UNKNOWN
        self._error: SafelightError | None = None

    @property
    def left(self) -> float:
        """Seconds that the next look may take."""
        return max(0.01, min(QUICK_LOOK, self._end - time.monotonic()))

    @property
    def pause(self) -> float:
        """Seconds until the next look."""
        return max(0.0, min(PULSE, self._end - time.monotonic()))

    @property
    def is_over(self) -> bool:
        return self._ready or time.monotonic() >= self._end

    def saw(self, health: Health) -> None:
        self._seen, self._error, self._ready = health, None, bool(health)

    def failed(self, error: SafelightError) -> None:
        self._error = error

    def conclude(self) -> None:
        """Raises the last failure of a server that is not there, and TimedOut for one that is not ready."""
        if self._ready:
            return
        if isinstance(self._error, Unavailable):
            raise self._error
        seen = self._error.message if self._error else self._seen
        text = f"the server at {self._address} is not ready after {self._timeout:g} s: {seen}"
        raise TimedOut(text, code="DEADLINE_EXCEEDED") from self._error
