"""What the process may still take: the least of the machine, its control group (of both versions) and its addresses."""

from __future__ import annotations

import resource
from pathlib import Path

import psutil
import pytest
from safelight_server.lanes import free_memory

GROUP = {
    "v2": ("memory.max", "memory.current", "memory.stat", "anon 5\ninactive_file 3000000\n"),
    "v1": ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat", "cache 5\ntotal_inactive_file 3000000\n"),
}


def group(monkeypatch: pytest.MonkeyPatch, folder: Path, version: str, limit: str) -> None:
    *names, stat = GROUP[version]
    for name, text in zip(names, (limit, "8000000", stat), strict=True):
        (folder / name).write_text(f"{text}\n", encoding="ascii")
    files = tuple(str(folder / name) for name in names)
    monkeypatch.setattr(free_memory, "GROUPS", (("/nowhere/max", "/nowhere/current", "/nowhere/stat"), files))


@pytest.mark.parametrize("version", GROUP)
def test_a_container_has_what_its_group_leaves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str) -> None:
    group(monkeypatch, tmp_path, version, "20000000")
    assert free_memory.available() == 20_000_000 - 8_000_000 + 3_000_000
    group(monkeypatch, tmp_path, version, "1000000")
    assert free_memory.available() == 0, "and never less"


@pytest.mark.parametrize("limit", ["max", "9223372036854771712"])
def test_a_group_without_a_limit_leaves_what_the_machine_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str
) -> None:
    group(monkeypatch, tmp_path, "v2", limit)
    assert 2**20 < free_memory.available() <= psutil.virtual_memory().total


def test_the_limit_of_addresses_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = psutil.Process().memory_info().vms
    monkeypatch.setattr(resource, "getrlimit", lambda which: (taken + 300 * 2**20, resource.RLIM_INFINITY))
    assert 0 < free_memory.available() <= 300 * 2**20 / free_memory.ADDRESSES
