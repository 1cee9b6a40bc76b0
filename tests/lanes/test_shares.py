"""Callers get equal shares of a lane, however many jobs one of them has; and none of these is left behind."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from safelight_server.lanes.batching import Batching, Entry
from safelight_server.lanes.lane import Lane
from safelight_server.lanes.policy import TUNING
from safelight_server.lanes.queue import Queue
from safelight_server.lanes.step_times import StepTimes
from safelight_server.lanes.ticket import Standing, Ticket
from support.engines import run
from support.networks import ROW, FakeNetwork

STEPS = 3


async def draw(lane: Lane, network: FakeNetwork, caller: object) -> None:
    """A job of a few steps."""
    left = float(STEPS)
    ticket = Ticket(lambda: Standing(remaining=left), caller)
    for _ in range(STEPS):
        await lane.run(network, ROW, ticket)
        left -= 1
    ticket.leave()


@pytest.mark.parametrize("named", [True, False], ids=["by caller", "no callers"])
def test_a_caller_with_many_jobs_gets_no_more_than_one_with_one_at_a_time(named: bool) -> None:
    """By Jain's index of the jobs that each got done; without callers, whoever has most jobs gets most."""

    async def test() -> None:
        lane, network = Lane("CPU"), FakeNetwork("unet", [])
        done = dict.fromkeys(("greedy", "a", "b", "c"), 0)

        async def work(caller: str) -> None:
            while True:
                await draw(lane, network, caller if named else None)
                done[caller] += 1

        tasks = [asyncio.create_task(work("greedy")) for _ in range(20)]
        tasks += [asyncio.create_task(work(caller)) for caller in ("a", "b", "c")]
        while sum(done.values()) < 80:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        shares = list(done.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        jain = sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))
        assert jain >= 0.9 if named else jain < 0.6, done

    run(test)


@pytest.mark.parametrize("others", [False, True], ids=["alone", "beside another caller"])
def test_a_long_job_is_not_left_behind_by_short_ones_of_its_own_caller(
    monkeypatch: pytest.MonkeyPatch, others: bool
) -> None:
    """A program with many users is one caller. Short jobs that come without end hold a long one up, not for ever."""
    now = [0.0]
    for module in "queue", "ticket":
        monkeypatch.setattr(f"safelight_server.lanes.{module}.time", SimpleNamespace(monotonic=lambda: now[0]))

    async def test() -> None:
        queue, network = Queue(StepTimes(), Batching()), FakeNetwork("unet", [])

        def ask(caller: str, remaining: float) -> Entry:
            entry = Entry(network, ROW, Ticket(lambda: Standing(remaining=remaining), caller))
            queue.add(entry)
            return entry

        long, step = ask("program", 20.0), 0.5
        waiting = [ask("program", step) for _ in range(3)] + [ask("other", step)] * others
        while long in queue:
            served = queue.take(queue.runnable)
            now[0] += step
            queue.note_served(served)
            waiting += [ask(str(entry.ticket.caller), step) for entry in served if entry is not long]
            assert now[0] <= 2 * 20.0 / TUNING.ageing

    run(test)
