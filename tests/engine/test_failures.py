"""Inferences that fail under an engine at work, on a real graph: who caused it fails, and nobody else notices.

The long form, 1,000 failures, an hour: pytest -m slow -s tests/engine/test_failures.py
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from safelight_server import demo
from safelight_server.engine.engine import Engine
from safelight_server.errors import InferenceFailed
from safelight_server.jobs import Job, Sizes
from safelight_server.lanes.buffers import resident
from safelight_server.lanes.lane import Lane
from safelight_server.model_folder import model_config
from safelight_server.models import loader
from support import compiled
from support.broken_graphs import FATAL, break_unet
from support.engines import VEGA, XL, draw, load, run
from support.networks import allow_all_batches

FEW = [pytest.param(3, joined, id="joined" if joined else "alone") for joined in (False, True)]
MANY = pytest.param(500, True, marks=[pytest.mark.slow, pytest.mark.timeout(7200)], id="many")


@pytest.mark.parametrize(("rounds", "joined"), [*FEW, MANY])
def test_nobody_loses_anything_but_the_job_that_fails(
    rounds: int, joined: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In each round the network fails twice: the job that makes it fail has a second try."""
    # pytest keeps every log record, and with its traceback the graph that failed: 24 GB in an hour.
    monkeypatch.setattr(logging.getLogger("safelight_server.lanes.compiled_network"), "disabled", True)
    folder = break_unet(demo.FOLDERS["demo-xl"], tmp_path / "demo-xl")
    for name in ("demo-vega",):  # the folder beside, whose parts it shares
        (tmp_path / name).symlink_to(demo.FOLDERS[name])

    async def test() -> None:
        lane = Lane("CPU")
        config, device = model_config.read(folder), compiled.device(of="failures")
        model = loader.load("demo-xl", config, lane, device, lambda what: None, max_edge=512)
        if joined:
            allow_all_batches(model)
        engine = Engine({"demo-xl": model, "demo-vega": load("demo-vega", lane)}, slots=16, queue=0)
        jobs = [replace(XL, seeds=(seed,)) for seed in range(3)] + [replace(VEGA, seeds=(seed,)) for seed in range(3)]
        right = [await draw(engine, job) for job in jobs]
        for round in range(rounds):
            tasks = [asyncio.create_task(draw(engine, replace(job, id=str(i)))) for i, job in enumerate(jobs)]
            await asyncio.sleep(0.012 * (round % 12))  # each time, it comes at another moment of theirs
            with pytest.raises(InferenceFailed):
                await draw(engine, fatal(round))
            assert await asyncio.gather(*tasks) == right
            while not engine.ready:  # noqa: ASYNC110 - until then new jobs are refused, as clients are told
                await asyncio.sleep(0.01)
            if round % 50 == 49:
                print(f"{2 * (round + 1)} failures, {resident() / 1e6:.0f} MB")
        assert [await draw(engine, job) for job in jobs] == right

    run(test, patience=120 + 14 * rounds)


def fatal(seed: int) -> Job:
    return replace(XL, id=f"fatal {seed}", seeds=(seed,), sizes=Sizes(target=(FATAL, 64)))
