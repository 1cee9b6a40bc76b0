"""How much memory the process may still take: of the machine, of its control group, of its own address space."""

from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path

from .buffers import resource

# Files of a control group, of both versions: its limit, what is taken, and where it says what files' pages are.
GROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
    ),
)
# An allocator reserves more addresses than it takes memory: runs of networks were seen to take up to 1.45 times.
ADDRESSES = 1.5


def available() -> int:
    """Bytes: the least of what the machine has, and of what its two limits leave."""
    left = (_free(), _left_in_group(), _left_in_address_space())
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


def _left_in_group() -> int | None:
    """As a container has it. Pages of files count as taken, and are given back when they are needed: the idle ones."""
    for limit_file, taken_file, stat_file in GROUPS:
        limit, taken = _number(limit_file), _number(taken_file)
        if limit is not None and taken is not None:
            return limit - taken + _inactive(stat_file)
    return None


def _inactive(file: str) -> int:
    try:
        lines = Path(file).read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    found = [line.split() for line in lines if line.startswith(("inactive_file ", "total_inactive_file "))]
    return max((int(count) for _, count in found), default=0)


def _number(file: str) -> int | None:
    """None for "max" as well."""
    try:
        text = Path(file).read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


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
