"""The memory of a fresh server while it draws one job, against what Estimate said it would be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from abusing.finding import Effort, Finding, at_least, at_most
from safelight.v1 import jobs_pb2 as pb

from job_figures.asking import draw, submitted
from job_figures.serving import Place, place

SIZES = ((256, 256), (512, 512), (768, 512), (1024, 1024))


def measure(effort: Effort) -> Iterator[Finding]:
    errors = []
    with place() as here:
        for size in effort.pick(SIZES, SIZES[:1]):
            for known in (False, True):
                told, before, peak = _measured(here, size, known)
                errors.append(100 * abs(told / peak - 1))
                name = f"{size[0]} x {size[1]}, {'seen before' if known else 'new'}"
                figures = f"{told / 2**20:.0f} MiB told, {peak / 2**20:.0f} at the most, {before / 2**20:.0f} before"
                yield at_most(f"{name}: {figures}", errors[-1], 10, " %")
                if not known:
                    yield at_least(f"{name}: what it grew by", (peak - before) / 2**20, 1, " MiB", control=True)


def _measured(here: Place, size: tuple[int, int], known: bool) -> tuple[int, int, int]:
    """Bytes that were told for a job, that were resident before it, and at the most while it was drawn."""
    fields: dict[str, Any] = {"model": "demo-xl", "width": size[0], "height": size[1], "steps": 2}
    with here.serve() as (server, connection):
        if known:
            draw(connection, fields)
        Path(f"/proc/{server.pid}/clear_refs").write_text("5", encoding="ascii")  # the most is now what is
        before = _bytes(server.pid, "VmRSS")
        found = connection.jobs.Estimate(pb.EstimateRequest(generate=submitted(fields).generate))
        draw(connection, {**fields, "seed": 12})
        return found.peak_bytes, before, _bytes(server.pid, "VmHWM")


def _bytes(pid: int, name: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(rf"{name}:\s+(\d+) kB", text)
    assert found
    return int(found[1]) * 1024
