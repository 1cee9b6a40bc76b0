"""Files that are read again when they have changed, so that nothing is to be restarted for them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from safelight_server.errors import LoadError

log = logging.getLogger(__name__)

T = TypeVar("T")
Stamp = tuple[tuple[int, int, int] | None, ...]  # of each file: when it changed, how long it is, and which one it is


class Watched(Generic[T]):
    """What `read` makes of files. A change that `read` refuses is told in the log, and what was there before counts."""

    def __init__(self, files: Sequence[Path], read: Callable[[], T]) -> None:
        """Raises LoadError, as `read` does."""
        self._files, self._read = files, read
        self._stamp = self._stamped()
        self._value = read()

    def get(self) -> T:
        stamp = self._stamped()
        if stamp != self._stamp:
            self._stamp = stamp
            self._read_again()
        return self._value

    def _read_again(self) -> None:
        names = ", ".join(map(str, self._files))
        try:
            self._value = self._read()
        except LoadError as error:
            log.error("%s changed, and cannot be used: %s; what was there before still counts", names, error)
        else:
            log.info("%s changed, and was read again", names)

    def _stamped(self) -> Stamp:
        return tuple(map(_stamp, self._files))


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
