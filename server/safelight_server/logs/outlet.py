"""A file that nobody waits for: it takes what is written at once, a thread passes it on, what is too much is counted.

For standard error: when the reader of its pipe stops reading (or a terminal is held by Ctrl-S), a plain write waits for
ever, and with it the event loop and all calls.
"""

from __future__ import annotations

import io
import os
import select
import threading
from collections.abc import Callable
from typing import Any

MOST_WAITING = 2**20  # bytes


class Outlet(io.RawIOBase):
    """Passes on to `descriptor`. `dropped` makes the text that says how many lines were dropped.

    What the descriptor refuses (its reader has gone, the disk is full) counts as dropped too, and is told of when it
    takes something again.
    """

    name = "<stderr>"  # a text file asks for it

    def __init__(self, descriptor: int, dropped: Callable[[int], str], most_waiting: int = MOST_WAITING) -> None:
        self._descriptor = descriptor
        self._dropped = dropped
        self._most_waiting = most_waiting
        self._waiting = bytearray()
        self._lost = 0  # lines
        self._passing_on = False
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="log", daemon=True).start()  # the process may end while it waits

    def write(self, data: Any) -> int:
        """Takes the whole or drops the whole. Never waits."""
        with self._changed:
            if len(self._waiting) + len(data) > self._most_waiting:
                self._lost += _lines(data)
            else:
                self._waiting += data
                self._changed.notify_all()
        return len(data)

    def drain(self, seconds: float) -> bool:
        """Waits until all that was written is passed on, but not longer than this. Whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._passing_on, seconds)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def fileno(self) -> int:
        return self._descriptor

    def _run(self) -> None:
        while True:
            data, lost = self._take()
            try:
                self._pass_on(data + self._dropped(lost).encode() if lost else data)
            except OSError:
                self._lose(_lines(data) + lost)

    def _take(self) -> tuple[bytes, int]:
        """What waits, as soon as there is something, and how many lines were dropped after it."""
        with self._changed:
            self._passing_on = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._waiting)
            taken, self._waiting = bytes(self._waiting), bytearray()
            lost, self._lost = self._lost, 0
            self._passing_on = True
        return taken, lost

    def _lose(self, lines: int) -> None:
        with self._changed:
            self._lost += lines

    def _pass_on(self, data: bytes) -> None:
        # By os.write, not by sys.stderr: a lock that this thread holds while it waits would be fatal at Python's end.
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # another process that shares the pipe has made it so
                select.select((), (self._descriptor,), ())


def _lines(data: Any) -> int:
    return bytes(data).count(b"\n")
