"""Which batches a lane is allowed: those that pay and change no bit, each tried once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace

import numpy as np
import pytest
from safelight_server.lanes.batching import signature
from safelight_server.lanes.lane import Lane
from safelight_server.lanes.network import Tensor
from safelight_server.models.batch_profile import BATCHES, MOST, measure, random_row
from support.engines import load, run
from support.networks import ROW, FakeNetwork


@pytest.mark.parametrize(
    ("seconds", "off_by", "sizes"),
    [
        (lambda rows: 0.004, 0.0, BATCHES),  # a batch costs no more than a row
        (lambda rows: 0.004 * rows, 0.0, ()),  # a batch of n costs n times as much
        (lambda rows: 0.004, 1e-7, ()),  # a batch gives other bits
        (lambda rows: 0.004 if rows <= 2 else 0.03, 0.0, (2,)),
    ],
)
def test_what_is_joined_is_what_pays_and_changes_no_bit(
    monkeypatch: pytest.MonkeyPatch, seconds: Callable[[int], float], off_by: float, sizes: tuple[int, ...]
) -> None:
    """By a clock that goes on with the runs alone: on a busy machine, a row may take as long as a batch."""
    now = [0.0]
    monkeypatch.setattr("safelight_server.models.batch_profile.time", SimpleNamespace(perf_counter=lambda: now[0]))

    class Timed(FakeNetwork):
        async def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
            rows = len(inputs["x"])
            now[0] += seconds(rows)
            return {"y": inputs["x"] + np.float32(off_by * (rows > 1))}

    async def test() -> None:
        lane, network = Lane("CPU"), Timed("unet", [])
        rows = [{"x": np.full((1, 2), i / 7, np.float32)} for i in range(8)]
        allowed = await measure(lane, network, rows)
        assert allowed == lane.batching.sizes(signature(network, ROW)) == tuple(sorted(sizes, reverse=True))

    run(test)


def test_nothing_is_tried_twice_or_to_its_end_where_a_row_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("safelight_server.models.batch_profile.PATIENCE", 0.0)

    async def test() -> None:
        log: list[tuple[str, int]] = []
        lane, network = Lane("CPU"), FakeNetwork("unet", log)
        rows = [{"x": np.full((1, 2), i, np.float32)} for i in range(8)]
        assert [await measure(lane, network, rows) for _ in range(2)] == [(), ()]
        assert log == [("unet", 1)]

    run(test)


def test_the_rows_that_are_tried_are_all_different() -> None:
    unet = load("demo-vega").networks.unet
    rows = [random_row(unet, 16, seed) for seed in range(MOST)]
    for name in rows[0]:
        assert len({row[name].tobytes() for row in rows}) == MOST, name
    assert all(np.isfinite(value).all() for value in rows[0].values())
