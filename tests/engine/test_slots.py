"""Slots: given by the policy, in equal shares to callers, and never lost."""

from __future__ import annotations

import asyncio

import pytest
from safelight_server.engine.slots import Slots
from safelight_server.jobs import Priority
from safelight_server.lanes.ticket import Standing, Ticket
from support.engines import run


class Jobs:
    """Jobs that hold a slot until they are let go; notes who got one, in order, and what positions each was told."""

    def __init__(self, count: int) -> None:
        self.slots = Slots(count)
        self.served: list[str] = []
        self.heard: dict[str, list[int]] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, name: str, caller: object = "x", standing: Standing | None = None) -> None:
        self.heard[name], self.gates[name] = [], asyncio.Event()
        ticket = Ticket(lambda: standing or Standing(remaining=1.0), caller)
        self.tasks[name] = asyncio.create_task(self._run(name, ticket))
        await asyncio.sleep(0)

    async def _run(self, name: str, ticket: Ticket) -> None:
        async with self.slots.take(ticket, self.heard[name].append):
            self.served.append(name)
            await self.gates[name].wait()

    async def end(self, *names: str) -> None:
        for name in names:
            self.gates[name].set()
            await self.tasks[name]
            await asyncio.sleep(0)


def test_slots_are_given_in_order_and_tell_the_position() -> None:
    async def test() -> None:
        jobs = Jobs(1)
        for name in "abcd":
            await jobs.come(name)
        assert jobs.slots.waiting == 3
        jobs.tasks["b"].cancel()  # a job whose client left while it waited never starts
        await asyncio.sleep(0)
        await jobs.end("a", "c", "d")
        assert jobs.served == ["a", "c", "d"]
        assert jobs.heard == {"a": [0], "b": [1], "c": [2, 1], "d": [3, 2, 1]}
        assert (jobs.slots.taken, jobs.slots.waiting) == (0, 0)

    run(test)


def test_the_more_urgent_goes_first() -> None:
    async def test() -> None:
        jobs = Jobs(1)
        await jobs.come("running")
        await jobs.come("long", standing=Standing(remaining=60.0))
        await jobs.come("batch", standing=Standing(Priority.BATCH, remaining=1.0))
        await jobs.come("short", standing=Standing(remaining=1.0))
        assert [jobs.heard[name][-1] for name in ("short", "batch", "long")] == [1, 2, 3]
        await jobs.end("running", "short", "batch", "long")
        assert jobs.served == ["running", "short", "batch", "long"]

    run(test)


def test_nobody_waits_for_the_long_jobs_of_another_caller() -> None:
    async def test() -> None:
        jobs = Jobs(2)
        for place in range(6):
            await jobs.come(f"greedy {place}", "greedy", Standing(remaining=600.0))
        await jobs.come("one", "one")
        await jobs.come("two", "two")
        assert jobs.served == ["greedy 0", "greedy 1", "one", "two"]
        await jobs.come("three", "three")  # four run: there is an end to it
        await jobs.come("one more", "one")
        assert len(jobs.served) == 4
        await jobs.end("greedy 0")
        assert jobs.served[-1] == "three", "it has none yet"
        for name in ("one", "two", "three"):
            await jobs.end(name)
        assert "one more" in jobs.served
        for name, task in jobs.tasks.items():
            jobs.gates[name].set()
            await task
        assert (jobs.slots.taken, jobs.slots.waiting) == (0, 0)

    run(test)


@pytest.mark.parametrize("first", ["ends", "leaves"])
def test_a_job_ends_in_the_moment_in_which_the_next_one_leaves(first: str) -> None:
    """Its turn must not be given to whoever has just hung up, and the slot must not be lost."""

    async def test() -> None:
        jobs = Jobs(1)
        for name in ("running", "leaving", "last"):
            await jobs.come(name)
        if first == "leaves":
            jobs.tasks["leaving"].cancel()
        jobs.gates["running"].set()
        if first == "ends":
            jobs.tasks["leaving"].cancel()
        await jobs.tasks["running"]
        with pytest.raises(asyncio.CancelledError):
            await jobs.tasks["leaving"]
        await jobs.end("last")
        assert jobs.served == ["running", "last"]
        assert jobs.slots.taken == 0

    run(test)
