"""What takes long to make is made once: by the process of the tests that is first to ask. The others wait for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: whoever asks makes it, and the first to end has made it
    fcntl = None  # type: ignore[assignment]


@contextmanager
def turn(place: Path) -> Iterator[None]:
    """One process at a time; the lock is a file of the name `place`, and ends with the process that has it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("w") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def made(final: Path, make: Callable[[Path], object]) -> Path:
    """The folder `final`. `make` makes it, under another name: a folder that is there is whole."""
    if not final.is_dir():
        with turn(final.with_name(f".{final.name}.lock")):
            if not final.is_dir():
                aside = final.with_name(f".{final.name}-{os.getpid()}")
                shutil.rmtree(aside, ignore_errors=True)
                make(aside)
                try:
                    aside.rename(final)
                except OSError:  # there was no lock, and another process was first
                    shutil.rmtree(aside)
    return final
