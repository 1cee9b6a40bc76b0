"""Room in memory before an inference: others give back what they keep, and what has no room is not begun."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from safelight_server.errors import MemoryShort
from safelight_server.lanes.buffers import Buffers
from safelight_server.lanes.lane import Lane
from safelight_server.lanes.room import Room, with_spare
from safelight_server.lanes.ticket import Ticket
from support.engines import run
from support.networks import FakeNetwork

EACH = 100_000  # bytes for each number
SMALL, LARGE = (1, 4, 32, 32), (1, 4, 64, 64)
LARGE_BYTES = 4 * 64 * 64 * EACH


class Kept(FakeNetwork):
    """Has run at two shapes, so that what larger ones take is known; keeps what its runs took until it is trimmed."""

    def __init__(self, name: str) -> None:
        super().__init__(name, [])
        self.trims = 0
        self.buffers.note((1, 10), 0)
        self.buffers.note((1, 10_010), 10_000 * EACH)
        self.buffers.give_back()

    def ran(self, shape: tuple[int, ...]) -> None:
        self.buffers.note(shape, self.buffers.more(shape) or 0)

    def trim(self) -> None:
        self.trims += 1
        self.buffers.give_back()


def room(free: int, *networks: Kept) -> Room:
    return Room(lambda: free - sum(network.buffers.kept for network in networks))


def test_what_fits_is_let_in_and_nothing_is_given_back() -> None:
    async def test() -> None:
        one, other = Kept("one"), Kept("other")
        place = room(2 * with_spare(LARGE_BYTES), one, other)
        for network in (one, other):
            await place.make(network, LARGE)
            network.ran(LARGE)
        assert (one.trims, other.trims) == (0, 0)

    run(test)


def test_others_give_back_what_they_keep_and_then_the_network_itself() -> None:
    async def test() -> None:
        one, other = Kept("one"), Kept("other")
        place = room(with_spare(LARGE_BYTES), one, other)
        await place.make(one, LARGE)
        one.ran(LARGE)
        await place.make(other, LARGE)
        other.ran(LARGE)
        assert (one.trims, other.trims) == (1, 0)
        # A smaller one of another shape fits into what is kept, but a device makes something for it as well.
        await room(LARGE_BYTES + 10, one, other).make(other, (2, 4, 32, 32))
        assert other.trims == 1

    run(test)


def test_what_ran_before_needs_no_room() -> None:
    async def test() -> None:
        one = Kept("one")
        one.ran(LARGE)
        one.ran(SMALL)
        place = room(0)
        await place.make(one, LARGE)
        await place.make(one, SMALL)
        one.trim()
        with pytest.raises(MemoryShort):
            await place.make(one, LARGE)

    run(test)


def test_what_has_no_room_at_all_is_not_begun_and_the_bytes_are_told() -> None:
    async def test() -> None:
        one = Kept("one")
        with pytest.raises(MemoryShort) as refused:
            await room(LARGE_BYTES, one).make(one, LARGE)
        assert int(refused.value.metadata["needed_bytes"]) == with_spare(LARGE_BYTES)
        assert int(refused.value.metadata["free_bytes"]) == LARGE_BYTES

    run(test)


def test_a_lane_goes_on_after_a_run_without_room(monkeypatch: pytest.MonkeyPatch) -> None:
    free = [0]
    monkeypatch.setattr("safelight_server.lanes.lane.Room", lambda: Room(lambda: free[0]))

    async def test() -> None:
        lane, network = Lane("CPU"), FakeNetwork("n", [])
        inputs = {"x": np.ones((1, 2), np.float32)}
        with pytest.raises(MemoryShort):
            await lane.run(network, inputs, Ticket())
        assert not network.broken
        free[0] = 2**40
        assert (await lane.run(network, inputs, Ticket()))["y"].tolist() == [[2, 2]]

    run(test)


def test_a_batch_without_room_is_run_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def make(self: Room, network: FakeNetwork, shape: tuple[int, ...], reserved: int = 0) -> None:
        asked.append(shape[0])
        if shape[0] > 1:
            raise MemoryShort(2, 1)

    asked: list[int] = []
    monkeypatch.setattr(Room, "make", make)

    async def test() -> None:
        lane, gate = Lane("CPU"), asyncio.Event()
        network, first = FakeNetwork("n", []), FakeNetwork("first", [], gate)
        inputs = {"x": np.ones((1, 2), np.float32)}
        entry_signature = ("n", ("x", (2,)))
        lane.batching.allow(entry_signature, [2])
        before = asyncio.create_task(lane.run(first, inputs, Ticket()))
        await first.began.wait()
        tasks = [asyncio.create_task(lane.run(network, inputs, Ticket())) for _ in range(2)]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(before, *tasks)
        assert asked == [1, 2, 1, 1]

    run(test)


def test_buffers_know_which_runs_need_nothing_new() -> None:
    buffers = Buffers()
    assert not buffers.has_run(SMALL)
    buffers.note(SMALL, 0)
    assert buffers.has_run(SMALL)
    assert not buffers.has_run((1, 4, 16, 16)), "another shape"
    buffers.give_back()
    assert not buffers.has_run(SMALL)
