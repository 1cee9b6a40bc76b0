"""What a job takes of memory, and that one which can never fit is refused at the door."""

from __future__ import annotations

from dataclasses import replace

import pytest
from safelight_server.engine import memory
from safelight_server.errors import MemoryShort
from safelight_server.lanes.room import with_spare
from support.engines import VEGA, load, plan


def test_a_job_that_can_never_fit_is_refused_and_one_that_needs_nothing_new_is_not() -> None:
    models, large = {"demo-vega": load("demo-vega")}, plan(replace(VEGA, size=(512, 512)))
    needed = with_spare(max(run.whole for run in memory.runs_of(models, large)))
    memory.check(models, large, lambda: needed)
    with pytest.raises(MemoryShort) as refused:
        memory.check(models, large, lambda: needed - 1)
    assert refused.value.metadata == {"needed_bytes": str(needed), "free_bytes": str(needed - 1)}
    for run in memory.runs_of(models, large):
        run.network.buffers.note(run.shape, 0)
    memory.check(models, large, lambda: 0)
