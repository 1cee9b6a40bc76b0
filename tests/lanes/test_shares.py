"""Callers get equal shares of a lane, however many jobs one of them has."""

from __future__ import annotations

import asyncio

import pytest
from safelight_server.lanes.lane import Lane
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
