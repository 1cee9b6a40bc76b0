"""A lane: one inference at a time, the right one next, joined where that was measured to pay, and nothing lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safelight_server.errors import InferenceFailed
from safelight_server.jobs import Priority
from safelight_server.lanes.batching import signature
from safelight_server.lanes.lane import HOLD, Lane
from safelight_server.lanes.network import Tensor
from safelight_server.lanes.ticket import Standing, Ticket
from safelight_server.observer import Observer
from support.engines import run
from support.networks import ROW, FakeNetwork


class FakeJob:
    """A job on one network, with as much work left before each step as `seconds` says."""

    def __init__(self, network: Any, seconds: Sequence[float], priority: Priority = Priority.NORMAL) -> None:
        self.network, self.seconds, self.priority = network, seconds, priority
        self.remaining: float | None = seconds[0]
        self.ticket = Ticket(lambda: Standing(self.priority, None, self.remaining))

    async def run(self, lane: Lane) -> None:
        for remaining in self.seconds:
            self.remaining = remaining
            await lane.run(self.network, ROW, self.ticket)
        self.ticket.leave()


def test_the_shorter_job_overtakes_at_the_next_step_and_keeps_its_lead() -> None:
    async def test() -> None:
        log: list[tuple[str, int]] = []
        lane = Lane("CPU")
        first = FakeNetwork("long", log)
        long = asyncio.create_task(FakeJob(first, [30, 20, 10]).run(lane))
        await first.began.wait()
        short = asyncio.create_task(FakeJob(FakeNetwork("short", log), [3, 2, 1]).run(lane))
        await asyncio.gather(long, short)
        names = "".join(name[0] for name, _ in log)
        assert names in ("lsssll", "llsssl"), "it comes at a boundary, and is done before the long one goes on"

    run(test)


def test_priority_and_a_preview_beside_a_job() -> None:
    async def test() -> None:
        log: list[tuple[str, int]] = []
        lane, gate = Lane("CPU"), asyncio.Event()
        jobs = {priority: FakeJob(FakeNetwork(priority.name, log), [5], priority) for priority in Priority}
        held = asyncio.create_task(lane.run(FakeNetwork("held", log, gate), ROW, Ticket()))
        await asyncio.sleep(0.01)
        preview = jobs[Priority.NORMAL].ticket.beside(awaited=False)
        tasks = [asyncio.create_task(job.run(lane)) for job in reversed(jobs.values())]
        tasks.append(asyncio.create_task(FakePreview(FakeNetwork("preview", log), preview).run(lane)))
        await asyncio.sleep(0.01)
        gate.set()
        await asyncio.gather(held, *tasks)
        assert [name for name, _ in log] == ["held", "preview", "INTERACTIVE", "NORMAL", "BATCH"]

    run(test)


class FakePreview(FakeJob):
    """One inference, on a ticket that a job has beside its own."""

    def __init__(self, network: Any, ticket: Ticket) -> None:
        super().__init__(network, [0.0])
        self.ticket = ticket


def test_a_lane_waits_no_longer_than_a_moment_for_a_step_that_does_not_come() -> None:
    async def test() -> None:
        log: list[tuple[str, int]] = []
        lane = Lane("CPU")
        await lane.run(FakeNetwork("gone", log), ROW, Ticket())
        began = time.monotonic()
        await lane.run(FakeNetwork("next", log), ROW, Ticket())
        assert time.monotonic() - began >= HOLD / 2, "it did wait"

    run(test)


def test_a_preview_that_is_awaited_comes_before_a_step_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("safelight_server.lanes.lane.HOLD", 5.0)  # a busy machine takes longer than a moment

    async def test() -> None:
        log: list[tuple[str, int]] = []
        lane, job = Lane("CPU"), FakeJob(FakeNetwork("job", log), [1.0])
        await job.run(lane)  # so that its ticket knows the lane
        preview = job.ticket.beside(awaited=True)
        step = asyncio.create_task(FakeJob(FakeNetwork("step", log), [5]).run(lane))
        await asyncio.sleep(0.002)
        await FakePreview(FakeNetwork("preview", log), preview).run(lane)
        await step
        assert [name for name, _ in log] == ["job", "preview", "step"]

    run(test)


@pytest.mark.parametrize("leaves", [True, False])
def test_a_job_that_leaves_is_not_waited_for(leaves: bool) -> None:
    async def test() -> None:
        lane, ticket, gate = Lane("CPU"), Ticket(), asyncio.Event()
        await lane.run(FakeNetwork("a", []), ROW, ticket)
        if leaves:
            ticket.leave()
        other = FakeNetwork("b", [], gate)
        waiting = asyncio.create_task(lane.run(other, ROW, Ticket()))
        for _ in range(3):
            await asyncio.sleep(0)
        assert other.running is leaves
        gate.set()
        await waiting

    run(test)


def test_who_has_no_ticket_is_not_waited_for() -> None:
    async def test() -> None:
        lane, gate = Lane("CPU"), asyncio.Event()
        await lane.run(FakeNetwork("a", []), ROW)
        other = FakeNetwork("b", [], gate)
        waiting = asyncio.create_task(lane.run(other, ROW))
        for _ in range(3):
            await asyncio.sleep(0)
        assert other.running
        gate.set()
        await waiting

    run(test)


def test_whoever_has_the_turn_has_the_lane_alone() -> None:
    async def test() -> None:
        log: list[tuple[str, int]] = []
        lane, gate = Lane("CPU"), asyncio.Event()
        running = asyncio.create_task(lane.run(FakeNetwork("running", log, gate), ROW))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(lane.run(FakeNetwork("waiting", log), ROW))
        given_up = asyncio.create_task(_take(lane, log, "given up"))
        taken = asyncio.create_task(_take(lane, log, "turn"))
        await asyncio.sleep(0.01)
        given_up.cancel()
        gate.set()
        await asyncio.gather(running, waiting, taken)
        assert [name for name, _ in log] == ["running", "turn", "turn ends", "waiting"]

    run(test)


async def _take(lane: Lane, log: list[tuple[str, int]], name: str) -> None:
    async with lane.turn():
        log.append((name, 0))
        await asyncio.sleep(0.01)
        log.append((f"{name} ends", 0))


def test_what_a_lane_forgets_it_has_never_seen() -> None:
    async def test() -> None:
        lane, network = Lane("CPU"), FakeNetwork("unet", [])
        lane.networks[Path("unet.xml"), Path("unet.bin")] = network
        lane.batching.allow(signature(network, ROW), [2])
        await lane.run(network, ROW)
        assert lane.step_times.seconds("unet", (1, 2)) > 0
        lane.forget(network)
        assert lane.step_times.seconds("unet", (1, 2)) == 0
        assert not lane.batching.knows(signature(network, ROW))
        assert not lane.networks

    run(test)


def test_an_observer_hears_of_every_inference() -> None:
    class Noting(Observer):
        def __init__(self) -> None:
            self.heard: list[tuple[str, str, int]] = []

        def inference_ended(self, network: str, shape: Sequence[int], seconds: float) -> None:
            assert seconds > 0
            self.heard.append(("ended", network, shape[0]))

        def inference_failed(self, network: str, rows: int) -> None:
            self.heard.append(("failed", network, rows))

    async def test() -> None:
        observer = Noting()
        lane = Lane("CPU", observer)
        await lane.run(FakeNetwork("a", []), {"x": np.zeros((3, 2), np.float32)})
        with pytest.raises(InferenceFailed):
            await lane.run(Broken("b", []), ROW)
        assert observer.heard == [("ended", "a", 3), ("failed", "b", 1)]

    run(test)


class Broken(FakeNetwork):
    async def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        raise InferenceFailed(self.name)


def test_a_cancelled_turn_is_passed_on() -> None:
    async def test() -> None:
        log: list[tuple[str, int]] = []
        lane, gate = Lane("CPU"), asyncio.Event()
        first = asyncio.create_task(lane.run(FakeNetwork("first", log, gate), ROW))
        second = asyncio.create_task(lane.run(FakeNetwork("second", log), ROW))
        third = asyncio.create_task(lane.run(FakeNetwork("third", log), ROW))
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
        stuck = asyncio.create_task(lane.run(FakeNetwork("stuck", log, never), ROW, Ticket()))
        other = asyncio.create_task(lane.run(FakeNetwork("other", log), ROW, Ticket()))
        for _ in range(ticks):  # even before the inference's own task has begun
            await asyncio.sleep(0)
        stuck.cancel()
        await other
        assert stuck.cancelled()
        assert [name for name, _ in log] == ["other"]

    run(test)


def test_a_failure_is_told_and_the_lane_goes_on() -> None:
    async def test() -> None:
        log: list[tuple[str, int]] = []
        lane, broken = Lane("CPU"), Broken("broken", log)
        lane.batching.allow(signature(broken, ROW), [2])
        both = [asyncio.create_task(lane.run(broken, ROW, Ticket())) for _ in range(2)]
        fine = asyncio.create_task(lane.run(FakeNetwork("fine", log), ROW, Ticket()))
        for failed in both:
            with pytest.raises(InferenceFailed):
                await failed
        assert (await fine)["y"].shape == (1, 2)

    run(test)


async def joined(lane: Lane, network: Any, count: int, cancel: int | None = None) -> list[Any]:
    """The outputs of `count` jobs that asked while the lane was busy; `cancel`: one leaves once they run."""
    gate = asyncio.Event()
    held = asyncio.create_task(lane.run(FakeNetwork("held", [], gate), ROW, Ticket()))
    await asyncio.sleep(0.01)
    rows = [{"x": np.full((1, 2), i, np.float32)} for i in range(count)]
    tasks = [asyncio.create_task(lane.run(network, row, Ticket(lambda: Standing(remaining=1)))) for row in rows]
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
        lane, network = Lane("CPU"), FakeNetwork("unet", log)
        lane.batching.allow(signature(network, ROW), (2, 4, 8))
        outputs = await joined(lane, network, count)
        assert [output["y"][0, 0] for output in outputs] == [2 * i for i in range(count)]
        assert [rows for _, rows in log] == batches

    run(test)


def test_one_that_leaves_a_batch_takes_nobody_with_it() -> None:
    async def test() -> None:
        log: list[tuple[str, int]] = []
        lane, network = Lane("CPU"), FakeNetwork("unet", log)
        lane.batching.allow(signature(network, ROW), (2, 4))
        outputs = await joined(lane, network, 4, cancel=1)
        assert isinstance(outputs[1], asyncio.CancelledError)
        assert [outputs[i]["y"][0, 0] for i in (0, 2, 3)] == [0, 4, 6]

    run(test)


def test_nothing_is_joined_that_was_not_measured() -> None:
    async def test() -> None:
        log: list[tuple[str, int]] = []
        await joined(Lane("CPU"), FakeNetwork("unet", log), 4)
        assert [rows for _, rows in log] == [1, 1, 1, 1]

    run(test)


def test_two_lanes_work_at_the_same_time() -> None:
    async def test() -> None:
        gate, log = asyncio.Event(), list[tuple[str, int]]()
        a, b = FakeNetwork("a", log, gate), FakeNetwork("b", log, gate)
        tasks = [asyncio.create_task(Lane("CPU").run(network, ROW)) for network in (a, b)]
        await asyncio.sleep(0.01)
        assert a.running
        assert b.running
        gate.set()
        await asyncio.gather(*tasks)

    run(test)
