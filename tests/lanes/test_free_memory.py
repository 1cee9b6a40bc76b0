"""What the process may still take: the least of the machine, its control groups of both versions, and its addresses."""

from __future__ import annotations

import resource
from pathlib import Path

import psutil
import pytest
from safelight_server.lanes import control_groups, free_memory

STAT = {"v2": "anon 5\ninactive_file 3000000\n", "v1": "cache 5\ntotal_inactive_file 3000000\n"}
VERSIONS = dict(zip(("v2", "v1"), control_groups.VERSIONS, strict=True))


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Its groups are in a folder of the test's own; there is none of the other version."""
    told = VERSIONS[request.param]._replace(root=tmp_path)
    monkeypatch.setattr(control_groups, "VERSIONS", (told,))
    monkeypatch.setattr(control_groups, "OWN", tmp_path / "own")
    name: str = request.param
    return name


def group(folder: Path, version: str, limit: str) -> None:
    told = VERSIONS[version]
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in ((told.limit, limit), (told.taken, "8000000"), ("memory.stat", STAT[version])):
        (folder / name).write_text(f"{text}\n", encoding="ascii")


def test_a_container_has_what_its_group_leaves(version: str, tmp_path: Path) -> None:
    group(tmp_path, version, "20000000")
    assert free_memory.available() == 20_000_000 - 8_000_000 + 3_000_000
    group(tmp_path, version, "1000000")
    assert free_memory.available() == 0, "and never less"


@pytest.mark.parametrize(("outer", "inner"), [("max", "20000000"), ("20000000", "max"), ("50000000", "20000000")])
def test_a_service_has_what_the_closest_of_its_groups_leaves(
    version: str, tmp_path: Path, outer: str, inner: str
) -> None:
    """As systemd makes them: a slice, and the service in it."""
    lines = ("9:cpu:/elsewhere", "4:memory:/a.slice/b:c.service", "0::/a.slice/b:c.service")
    (tmp_path / "own").write_text("\n".join(lines) + "\n")
    group(tmp_path / "a.slice", version, outer)
    group(tmp_path / "a.slice/b:c.service", version, inner)
    assert free_memory.available() == 20_000_000 - 8_000_000 + 3_000_000


@pytest.mark.parametrize("limit", ["max", "9223372036854771712"])
def test_a_group_without_a_limit_leaves_what_the_machine_has(version: str, tmp_path: Path, limit: str) -> None:
    group(tmp_path, version, limit)
    assert 2**20 < free_memory.available() <= psutil.virtual_memory().total


def test_the_limit_of_addresses_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = psutil.Process().memory_info().vms
    monkeypatch.setattr(resource, "getrlimit", lambda which: (taken + 300 * 2**20, resource.RLIM_INFINITY))
    assert 0 < free_memory.available() <= 300 * 2**20 / free_memory.ADDRESSES


def test_what_a_model_is_about_to_take_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    resident = [1000]
    monkeypatch.setattr(free_memory, "resident", lambda: resident[0])
    monkeypatch.setattr(free_memory, "available", lambda: 900)
    with free_memory.reserve(300):
        assert (free_memory.reserved(), free_memory.unreserved()) == (300, 600)
        resident[0] += 200  # it has come so far
        assert (free_memory.reserved(), free_memory.unreserved()) == (100, 800)
        resident[0] += 200
        assert free_memory.reserved() == 0
        with free_memory.reserve(5000):
            assert free_memory.unreserved() == 0, "and never less"
    assert free_memory.unreserved() == 900
