"""Gives back the pages of a weight file. Once a network has run, its device works from copies that it packed anew."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

MAPS = Path("/proc/self/maps")  # on Linux; elsewhere, nothing is let go


def let_go(file: Path) -> None:
    """Takes the pages of a mapped file off this process. They stay in the page cache, and return when read.

    Without this, a server of full-size models would take twice the memory for as long as it runs.
    """
    if not MAPS.exists():
        return
    # While this runs, nothing else can be mapped at these addresses: the network that mapped the file keeps its graph.
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for start, end in _mapped(file):
        madvise(start, end - start, mmap.MADV_DONTNEED)


def _mapped(file: Path) -> Iterator[tuple[int, int]]:
    """The address ranges where the file is mapped for reading alone. Pages that were written to would be lost."""
    name = os.path.realpath(file)
    for line in MAPS.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        place, access, _, _, _, *path = line.split(maxsplit=5)
        if path == [name] and access.startswith("r--"):
            start, _, end = place.partition("-")
            yield int(start, 16), int(end, 16)
