"""A lane whose network fails compiles it anew, and nobody else loses anything. An inference that hangs is noticed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import numpy as np
import pytest
from safelight_server.errors import DeviceStuck, InferenceFailed, ModelRecovering
from safelight_server.lanes.batching import signature
from safelight_server.lanes.lane import Lane
from safelight_server.lanes.network import Tensor
from safelight_server.lanes.ticket import Ticket
from support.engines import run
from support.networks import ROW, FakeNetwork

BAD = {"x": np.full((1, 2), -1.0, np.float32)}  # what makes a Fragile network fail
LOSES = (InferenceFailed, ModelRecovering)


class Fragile(FakeNetwork):
    """Fails where an input is negative, and is broken until it is loaded; the first `refusals` loads fail."""

    def __init__(self, name: str, refusals: int = 0) -> None:
        super().__init__(name, [])
        self.loads, self.refusals = 0, refusals

    async def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        assert not self.broken, "a broken network runs nothing"
        outputs = await super().__call__(inputs)
        if (inputs["x"] < 0).any():
            self.broken = True
            raise InferenceFailed(self.name)
        return outputs

    def load(self, precision: str = "") -> None:
        self.loads += 1
        if self.loads <= self.refusals:
            raise RuntimeError("no memory")
        self.broken = False


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("safelight_server.lanes.healer.FIRST_PAUSE", 0.01)


def rows(count: int) -> list[dict[str, Tensor]]:
    return [{"x": np.full((1, 2), i, np.float32)} for i in range(count)]


@pytest.mark.parametrize("batches", [(), (8,)], ids=["alone", "joined"])
def test_only_what_made_it_fail_fails_and_the_others_get_what_is_theirs(batches: tuple[int, ...]) -> None:
    async def test() -> None:
        lane, network = Lane("CPU"), Fragile("unet")
        lane.batching.allow(signature(network, ROW), batches)
        tasks = [asyncio.create_task(lane.run(network, row, Ticket())) for row in (*rows(4), BAD, *rows(3))]
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(one, InferenceFailed) for one in ended] == [False] * 4 + [True] + [False] * 3
        right = [2.0 * row["x"][0, 0] for row in (*rows(4), *rows(3))]
        assert [one["y"][0, 0] for one in ended if isinstance(one, dict)] == right
        assert network.loads == 2, "it failed twice, once with the rest of its batch or by itself, and once more"

    run(test)


def test_others_go_on_while_a_network_is_compiled_anew() -> None:
    async def test() -> None:
        lane, network, other = Lane("CPU"), Fragile("unet", refusals=2), FakeNetwork("vae", [])
        failing = asyncio.create_task(lane.run(network, BAD))
        await asyncio.sleep(0.005)
        assert (await lane.run(other, ROW))["y"].shape == (1, 2)
        with pytest.raises(LOSES):
            await failing

    run(test)


def test_healing_is_tried_until_it_works_and_who_waits_is_told_that_it_takes_long() -> None:
    async def test() -> None:
        lane, network = Lane("CPU"), Fragile("demo-xl/unet", refusals=3)
        health: list[bool] = []
        lane.on_health(lambda: health.append(network.broken))
        tasks = [asyncio.create_task(lane.run(network, row, Ticket())) for row in (BAD, *rows(2))]
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in ended] == [ModelRecovering] * 3
        assert "demo-xl" in str(ended[0])
        while network.broken:  # noqa: ASYNC110 - nothing says so but the health
            await asyncio.sleep(0.01)
        assert network.loads == 4
        assert (await lane.run(network, rows(2)[1]))["y"][0, 0] == 2
        assert health[0] is True
        assert health[-1] is False

    run(test)


@pytest.mark.parametrize("ends", [True, False])
def test_an_inference_that_hangs_is_told_and_the_lane_is_stuck_until_it_ends(
    ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("safelight_server.lanes.watchdog.SECONDS", 0.05)

    class Hanging(FakeNetwork):
        async def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                await gate.wait()  # as an inference that cannot be stopped
                raise
            raise AssertionError

    gate = asyncio.Event()

    async def test() -> None:
        lane, changes = Lane("CPU"), list[bool]()
        lane.on_health(lambda: changes.append(lane.stuck))
        with pytest.raises(DeviceStuck):
            await lane.run(Hanging("unet", []), ROW, Ticket())
        assert lane.stuck
        waiting = asyncio.create_task(lane.run(FakeNetwork("vae", []), ROW))
        await asyncio.sleep(0.02)
        assert not waiting.done()
        if ends:
            gate.set()
            assert (await waiting)["y"].shape == (1, 2)
            assert changes == [True, False]
        else:
            waiting.cancel()
            gate.set()

    run(test)
