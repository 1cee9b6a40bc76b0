"""Memory of a process and all it started, while it works: pages that several share count once (PSS)."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

PROC = Path("/proc")
FIELDS = ("Pss:", "Pss_Anon:")


class Memory(NamedTuple):
    """Bytes: all, and those that belong to no file (the system can drop a file's pages when memory is short)."""

    total: int
    anonymous: int


def memory(pid: int, proc: Path = PROC) -> Memory:
    """The memory of a process and its descendants; those that have ended meanwhile count as nothing."""
    total = anonymous = 0
    for one in (pid, *_descendants(pid, proc)):
        found = _rollup(proc / str(one) / "smaps_rollup")
        total, anonymous = total + found.total, anonymous + found.anonymous
    return Memory(total, anonymous)


def _descendants(pid: int, proc: Path) -> list[int]:
    found: list[int] = []
    for file in sorted(proc.glob(f"{pid}/task/*/children")):
        try:
            children = [int(word) for word in file.read_text(encoding="ascii").split()]
        except OSError:
            continue
        found += children
        for child in children:
            found += _descendants(child, proc)
    return found


def _rollup(path: Path) -> Memory:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return Memory(0, 0)
    kilobytes = {words[0]: int(words[1]) for words in map(str.split, lines) if words and words[0] in FIELDS}
    return Memory(*(1024 * kilobytes.get(field, 0) for field in FIELDS))


class Peak:
    """The most memory that a process had at once, seen every `interval` seconds while in the `with`."""

    def __init__(self, pid: int, interval: float = 0.1) -> None:
        self.most = Memory(0, 0)
        self._pid, self._interval = pid, interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._stop.wait(self._interval):
            self.most = Memory(*map(max, self.most, memory(self._pid)))

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
