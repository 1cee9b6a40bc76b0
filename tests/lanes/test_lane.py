"""A lane: one inference at a time, the right one next, joined where that was measured to pay, and nothing lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from safelight_server.errors import InferenceFailed
from safelight_server.jobs import Priority
from safelight_server.lanes.batching import kind
from safelight_server.lanes.lane import HOLD, Lane
from safelight_server.lanes.network import Network, Tensor
from safelight_server.lanes.ticket import Ticket
from safelight_server.models.batch_profile import BATCHES, measure

ROW = {"x": np.zeros((1, 2), np.float32)}


class Fake(Network):
    """Takes a moment for each run, and doubles what it is given; `log` has (name, rows) of every run."""

    def __init__(self, name: str, log: list[tuple[str, int]], gate: asyncio.Event | None = None) -> None:  # no graph
        self.name, self._log, self._gate = name, log, gate
        self.running, self.began = False, asyncio.Event()

    async def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        assert not self.running
        self.running = True
        self.began.set()
        try:
            await (self._gate.wait() if self._gate else asyncio.sleep(0.001))
        finally:
            self.running = False
        self._log.append((self.name, len(inputs["x"])))
        return {"y": inputs["x"] * 2}


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 30))


async def steps(
    lane: Lane, network: Any, ticket: Ticket, seconds: Sequence[float], row: Mapping[str, Tensor] = ROW
) -> None:
    """A job whose remaining work is as given, step by step."""
    for remaining in seconds:
        ticket.remaining = remaining
        await lane.run(network, row, ticket)
    ticket.leave()


def test_the_shorter_job_overtakes_at_the_next_step_and_keeps_its_lead() -> None:
    async def test() -> None:
        log: list[tuple[str, int]] = []
        lane = Lane("CPU")
        first = Fake("long", log)
        long = asyncio.create_task(steps(lane, first, Ticket(), [30, 20, 10]))
        await first.began.wait()
        short = asyncio.create_task(steps(lane, Fake("short", log), Ticket(), [3, 2, 1]))
        await asyncio.gather(long, short)
        names = "".join(name[0] for name, _ in log)
        assert names in ("lsssll", "llsssl"), "it comes at a boundary, and is done before the long one goes on"

    run(test)


def test_priority_and_a_preview_beside_a_job() -> None:
    async def test() -> None:
        log: list[tuple[str, int]] = []
        lane, gate = Lane("CPU"), asyncio.Event()
        normal = Ticket(Priority.NORMAL, remaining=5)
        preview = normal.beside()
        preview.remaining = 0.1
        asked = {
            "batch": Ticket(Priority.BATCH, remaining=5),
            "normal": normal,
            "interactive": Ticket(Priority.INTERACTIVE, remaining=5),
            "preview": preview,
        }
        held = asyncio.create_task(lane.run(Fake("held", log, gate), ROW, Ticket()))
        await asyncio.sleep(0.01)
        tasks = [
            asyncio.create_task(steps(lane, Fake(name, log), ticket, [ticket.remaining]))
            for name, ticket in asked.items()
        ]
        await asyncio.sleep(0.01)
        gate.set()
        await asyncio.gather(held, *tasks)
        assert [name for name, _ in log] == ["held", "preview", "interactive", "normal", "batch"]

    run(test)


def test_a_lane_waits_no_longer_than_a_moment_for_a_step_that_does_not_come() -> None:
    async def test() -> None:
        log: list[tuple[str, int]] = []
        lane = Lane("CPU")
        await lane.run(Fake("gone", log), ROW, Ticket())
        began = time.monotonic()
        await lane.run(Fake("next", log), ROW, Ticket())
        assert time.monotonic() - began >= HOLD / 2, "it did wait"
        assert not lane._expected or len(lane._expected) == 1

    run(test)


def test_one_that_is_expected_comes_before_one_that_is_there() -> None:
    async def test() -> None:
        log: list[tuple[str, int]] = []
        lane, preview = Lane("CPU"), Ticket(remaining=0.1)
        lane.expect([preview])
        step = asyncio.create_task(lane.run(Fake("step", log), ROW, Ticket(remaining=5)))
        await asyncio.sleep(HOLD / 10)
        await lane.run(Fake("preview", log), ROW, preview)
        await step
        assert [name for name, _ in log] == ["preview", "step"]

    run(test)


def test_a_job_that_leaves_is_not_waited_for() -> None:
    async def test() -> None:
        lane, ticket = Lane("CPU"), Ticket()
        await lane.run(Fake("a", []), ROW, ticket)
        assert lane._expected == {ticket}
        ticket.leave()
        assert not lane._expected

    run(test)


def test_a_cancelled_turn_is_passed_on() -> None:
    async def test() -> None:
        log: list[tuple[str, int]] = []
        lane, gate = Lane("CPU"), asyncio.Event()
        first = asyncio.create_task(lane.run(Fake("first", log, gate), ROW))
        second = asyncio.create_task(lane.run(Fake("second", log), ROW))
        third = asyncio.create_task(lane.run(Fake("third", log), ROW))
        await asyncio.sleep(0.01)
        second.cancel()
        gate.set()
        await asyncio.gather(first, third)
        assert [name for name, _ in log] == ["first", "third"]

    run(test)


@pytest.mark.parametrize("ticks", range(6))
def test_cancelled_at_any_moment_the_lane_goes_on(ticks: int) -> None:
    async def test() -> None:
        log: list[tuple[str, int]] = []
        lane, never = Lane("CPU"), asyncio.Event()
        stuck = asyncio.create_task(lane.run(Fake("stuck", log, never), ROW, Ticket()))
        other = asyncio.create_task(lane.run(Fake("other", log), ROW, Ticket()))
        for _ in range(ticks):  # even before the inference's own task has begun
            await asyncio.sleep(0)
        stuck.cancel()
        await other
        assert stuck.cancelled()
        assert [name for name, _ in log] == ["other"]

    run(test)


def test_a_failure_is_told_and_the_lane_goes_on() -> None:
    class Broken(Fake):
        async def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
            raise InferenceFailed(self.name)

    async def test() -> None:
        log: list[tuple[str, int]] = []
        lane, broken = Lane("CPU"), Broken("broken", log)
        lane.batching.allow(kind(broken, ROW), [2])
        both = [asyncio.create_task(lane.run(broken, ROW, Ticket())) for _ in range(2)]
        fine = asyncio.create_task(lane.run(Fake("fine", log), ROW, Ticket()))
        for failed in both:
            with pytest.raises(InferenceFailed):
                await failed
        assert (await fine)["y"].shape == (1, 2)

    run(test)


async def joined(lane: Lane, network: Any, count: int, cancel: int | None = None) -> list[Any]:
    """The outputs of `count` jobs that asked while the lane was busy; `cancel`: one leaves once they run."""
    gate = asyncio.Event()
    held = asyncio.create_task(lane.run(Fake("held", [], gate), ROW, Ticket()))
    await asyncio.sleep(0.01)
    rows = [{"x": np.full((1, 2), i, np.float32)} for i in range(count)]
    tasks = [asyncio.create_task(lane.run(network, row, Ticket(remaining=1))) for row in rows]
    await asyncio.sleep(0.01)
    gate.set()
    await held
    if cancel is not None:
        await network.began.wait()
        tasks[cancel].cancel()
    return await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize(("count", "batches"), [(8, [8]), (7, [4, 2, 1]), (3, [2, 1]), (1, [1])])
def test_steps_are_joined_in_the_sizes_that_were_measured_and_each_job_gets_its_own_rows(
    count: int, batches: list[int]
) -> None:
    async def test() -> None:
        log: list[tuple[str, int]] = []
        lane, network = Lane("CPU"), Fake("unet", log)
        lane.batching.allow(kind(network, ROW), (2, 4, 8))
        outputs = await joined(lane, network, count)
        assert [output["y"][0, 0] for output in outputs] == [2 * i for i in range(count)]
        assert [rows for _, rows in log] == batches

    run(test)


def test_one_that_leaves_a_batch_takes_nobody_with_it() -> None:
    async def test() -> None:
        log: list[tuple[str, int]] = []
        lane, network = Lane("CPU"), Fake("unet", log)
        lane.batching.allow(kind(network, ROW), (2, 4))
        outputs = await joined(lane, network, 4, cancel=1)
        assert isinstance(outputs[1], asyncio.CancelledError)
        assert [outputs[i]["y"][0, 0] for i in (0, 2, 3)] == [0, 4, 6]

    run(test)


def test_nothing_is_joined_that_was_not_measured() -> None:
    async def test() -> None:
        log: list[tuple[str, int]] = []
        await joined(Lane("CPU"), Fake("unet", log), 4)
        assert [rows for _, rows in log] == [1, 1, 1, 1]

    run(test)


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
    seconds: Callable[[int], float], off_by: float, sizes: tuple[int, ...]
) -> None:
    class Timed(Fake):
        async def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
            rows = len(inputs["x"])
            await asyncio.sleep(seconds(rows))
            return {"y": inputs["x"] + np.float32(off_by * (rows > 1))}

    async def test() -> None:
        lane, network = Lane("CPU"), Timed("unet", [])
        rows = [{"x": np.full((1, 2), i / 7, np.float32)} for i in range(8)]
        allowed = await measure(lane, network, rows)
        assert allowed == lane.batching.sizes(kind(network, ROW)) == tuple(sorted(sizes, reverse=True))

    run(test)


def test_nothing_is_tried_twice_or_to_its_end_where_a_row_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("safelight_server.models.batch_profile.PATIENCE", 0.0)

    async def test() -> None:
        log: list[tuple[str, int]] = []
        lane, network = Lane("CPU"), Fake("unet", log)
        rows = [{"x": np.full((1, 2), i, np.float32)} for i in range(8)]
        assert [await measure(lane, network, rows) for _ in range(2)] == [(), ()]
        assert log == [("unet", 1)]

    run(test)


def test_two_lanes_work_at_the_same_time() -> None:
    async def test() -> None:
        gate, log = asyncio.Event(), list[tuple[str, int]]()
        a, b = Fake("a", log, gate), Fake("b", log, gate)
        tasks = [asyncio.create_task(Lane("CPU").run(network, ROW)) for network in (a, b)]
        await asyncio.sleep(0.01)
        assert a.running
        assert b.running
        gate.set()
        await asyncio.gather(*tasks)

    run(test)
