"""The memory that the control groups of the process leave it: its own, and those that this one is in. Of both versions.

A container sees its own group at the root. A service of systemd's (`MemoryMax=`) is some folders below it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

OWN = Path("/proc/self/cgroup")


class Version(NamedTuple):
    """Where its groups are mounted, how their lines in /proc/self/cgroup begin, and the names of two files."""

    root: Path
    controllers: str
    limit: str
    taken: str


VERSIONS = (
    Version(Path("/sys/fs/cgroup"), "", "memory.max", "memory.current"),
    Version(Path("/sys/fs/cgroup/memory"), "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
)


def left() -> int | None:
    """Bytes: the least that one of them leaves. None where there is no limit."""
    found = [_left_in(folder, version) for version in VERSIONS for folder in _folders(version)]
    return min((bytes for bytes in found if bytes is not None), default=None)


def _folders(version: Version) -> Iterator[Path]:
    """Of the groups, from the root down. What a path leads to may not be mounted here: then the root is the own one."""
    yield version.root
    folder = version.root
    for part in _path(version).split("/"):
        if part:
            folder = folder / part
            yield folder


def _path(version: Version) -> str:
    try:
        lines = OWN.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    for _, controllers, path in (line.split(":", 2) for line in lines):
        if controllers == version.controllers:
            return path
    return ""


def _left_in(folder: Path, version: Version) -> int | None:
    """Pages of files count as taken, and are given back when they are needed: the idle ones."""
    limit, taken = _number(folder / version.limit), _number(folder / version.taken)
    if limit is None or taken is None:
        return None
    return limit - taken + _inactive(folder / "memory.stat")


def _inactive(file: Path) -> int:
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    found = [line.split() for line in lines if line.startswith(("inactive_file ", "total_inactive_file "))]
    return max((int(count) for _, count in found), default=0)


def _number(file: Path) -> int | None:
    """None for "max" as well."""
    try:
        text = file.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
