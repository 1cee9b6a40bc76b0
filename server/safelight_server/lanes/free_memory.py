"""How much memory the process may still take: of the machine, of its control groups, of its own address space."""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import control_groups
from .buffers import resident, resource

# An allocator reserves more addresses than it takes memory: runs of networks were seen to take up to 1.45 times.
ADDRESSES = 1.5


_reserved: list[int] = []  # what the process will have then


def available() -> int:
    """Bytes: the least of what the machine has, and of what its two limits leave."""
    left = (_free(), control_groups.left(), _left_in_address_space())
    return max(0, min(bytes for bytes in left if bytes is not None))


def unreserved() -> int:
    """Bytes: of these, what a job may take."""
    return max(0, available() - reserved())


def comes_back() -> bool:
    """Whether what is freed can be taken again. An allocator keeps its addresses: a limit on these is never undone."""
    return _left_in_address_space() is None


def reserved() -> int:
    """Bytes that a model which is being loaded has yet to take."""
    return max(0, max(_reserved) - resident()) if _reserved else 0


@contextmanager
def reserve(count: int) -> Iterator[None]:
    """For a model that is about to take so many bytes, in many pieces: jobs leave them to it."""
    then = resident() + count
    _reserved.append(then)
    try:
        yield
    finally:
        _reserved.remove(then)


def _free() -> int:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:  # no Linux
        return _installed()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def _installed() -> int:
    """All that the machine has. Windows does not say it so: there, nothing is refused for want of memory."""
    if not hasattr(os, "sysconf"):
        return sys.maxsize
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _left_in_address_space() -> int | None:
    """By RLIMIT_AS, as `ulimit -v` sets it."""
    if resource is None or not hasattr(resource, "RLIMIT_AS"):
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:
        return None
    return round((int(limit) - pages * mmap.PAGESIZE) / ADDRESSES)
