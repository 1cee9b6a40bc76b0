"""Who may unpack a picture now: few at once, a bounded number waiting, for a bounded time, and only while asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from safelight_server.errors import PicturesWaiting

PULSE = 0.25  # seconds between two looks whether anyone still waits for the picture

_given_up: ContextVar[threading.Event | None] = ContextVar("given_up", default=None)


class GivenUp(Exception):
    """Nobody waits for this picture any more; so nobody hears of this either."""


@contextmanager
def wanted() -> Iterator[None]:
    """Pictures that are unpacked in this context, or in a copy of it, are given up once it is left."""
    given_up = threading.Event()
    token = _given_up.set(given_up)
    try:
        yield
    finally:
        given_up.set()
        _given_up.reset(token)


def stop_if_given_up() -> None:
    """Raises GivenUp."""
    given_up = _given_up.get()
    if given_up is not None and given_up.is_set():
        raise GivenUp


class Turns:
    """Lets `at_once` in. Raises PicturesWaiting if `most` wait already, or after `patience` seconds of waiting."""

    def __init__(self, at_once: int, most: int, patience: float) -> None:
        self._free = threading.Semaphore(at_once)
        self._places = threading.Semaphore(at_once + most)
        self._patience = patience

    @contextmanager
    def turn(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise PicturesWaiting
        try:
            self._wait()
            try:
                yield
            finally:
                self._free.release()
        finally:
            self._places.release()

    def _wait(self) -> None:
        end = time.monotonic() + self._patience
        while not self._free.acquire(timeout=PULSE):
            stop_if_given_up()
            if time.monotonic() > end:
                raise PicturesWaiting
