"""How much memory the process may still take: of the machine, of its control groups, of its own address space."""

from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path

from . import control_groups
from .buffers import resource

# An allocator reserves more addresses than it takes memory: runs of networks were seen to take up to 1.45 times.
ADDRESSES = 1.5


def available() -> int:
    """Bytes: the least of what the machine has, and of what its two limits leave."""
    left = (_free(), control_groups.left(), _left_in_address_space())
    return max(0, min(bytes for bytes in left if bytes is not None))


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
