"""The job store without a server: what goes in comes out, in order and whole; what must go, goes in the right order."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from safelight_server.diffusion.state import State
from safelight_server.engine.job_record import WallClock
from safelight_server.errors import LoadError, StoreFull
from safelight_server.events import Done, Event, Image, Rested, Resumed, Started
from safelight_server.job_store import schema
from safelight_server.job_store.checkpoints import Checkpoint
from safelight_server.job_store.database import NAME
from safelight_server.job_store.store import Store, StoredJob
from safelight_server.jobs import Acceleration, JobState
from safelight_server.samplers.noise_levels import Level

MIB = 2**20
EVENTS: list[Event] = [
    Started("m", (64, 96), 5, 3.5, "euler", (7, 8), Acceleration(2, 0.5, True), ("cut",)),
    Image(0, 7, "png", b"\x89PNG\0", (64, 96), {"pixelsSha256": "00"}, None),
    Image(1, 8, "jpeg", b"", (64, 96), {}, 3),
    Rested(1, 3, 5, 8, b"jpeg", (32, 48)),
    Resumed(1, 2, "begins again"),
    Done({"total": 1.25}),
]


def job(name: str, *, created: float = 1.0, request_id: str = "", owner: str = "") -> StoredJob:
    return StoredJob(name, owner, 1000, request_id, b"digest", "m", JobState.QUEUED, created, None, None, {"n": 1})


async def add(store: Store, job: StoredJob, request: bytes = b"asked") -> None:
    await store.add(job, lambda: request)


def checkpoint(image: int = 0, done: int = 2, *, previous: bool = True) -> Checkpoint:
    random = np.random.default_rng(done)
    arrays = [random.standard_normal((1, 4, 8, 12), np.float32) for _ in range(3)]
    state = State(done, arrays[0], arrays[1] if previous else None, 1234)
    return Checkpoint(image, done, 1, state, arrays[2], Level(0.5, 0.25), "way")


def run(test: Callable[[Store], Awaitable[None]], folder: Path | None = None, most: int = 64 * MIB) -> None:
    async def whole() -> None:
        store = Store(folder, most)
        try:
            await test(store)
        finally:
            await store.close()

    asyncio.run(asyncio.wait_for(whole(), 60))


@pytest.mark.parametrize("on_disk", [False, True])
def test_what_goes_in_comes_out(on_disk: bool, tmp_path: Path) -> None:
    async def test(store: Store) -> None:
        await add(store, job("a", request_id="mine"))
        for sequence, event in enumerate(EVENTS, 3):
            store.put_event("a", sequence, event)
        for kept in (checkpoint(), checkpoint(1, 3, previous=False)):
            store.put_checkpoint("a", kept, "these models")
        assert await store.get("a") == await store.by_request("", "mine") == job("a", request_id="mine")
        assert await store.request("a") == b"asked"
        assert await store.request("b") == b""
        assert await store.events("a") == list(enumerate(EVENTS, 3))
        assert [await store.picture("a", index) for index in range(3)] == [EVENTS[1], EVENTS[3], None]
        assert await store.events("a", 5) == list(enumerate(EVENTS, 3))[3:]
        assert await store.kept_steps("a") == [(0, 2), (1, 3)]
        for kept in (checkpoint(), checkpoint(1, 3, previous=False)):
            found = await store.checkpoint("a", kept.image, kept.done)
            assert found is not None
            assert found[1] == "these models"
            assert found[0]._replace(state=kept.state, denoised=kept.denoised) == kept
            np.testing.assert_array_equal(found[0].state.latents, kept.state.latents)
            np.testing.assert_array_equal(found[0].denoised, kept.denoised)
            assert (found[0].state.previous is None) == (kept.state.previous is None)
            assert found[0].state.position == 1234

    run(test, tmp_path / "state" if on_disk else None)


def test_a_checkpoint_that_was_changed_by_one_bit_is_none(tmp_path: Path) -> None:
    async def write(store: Store) -> None:
        await add(store, job("a"))
        store.put_checkpoint("a", checkpoint(), "")

    async def read(store: Store) -> None:
        assert await store.checkpoint("a", 0, 2) is None

    run(write, tmp_path)
    with sqlite3.connect(tmp_path / NAME) as database:
        (state,) = database.execute("SELECT state FROM checkpoints").fetchone()
        changed = bytearray(state)
        changed[len(changed) // 2] ^= 1
        database.execute("UPDATE checkpoints SET state = ?", (bytes(changed),))
    database.close()
    run(read, tmp_path)


def test_the_checkpoints_of_what_ended_first_go_first_then_that_job(tmp_path: Path) -> None:
    async def test(store: Store) -> None:
        for place, name in enumerate("abc"):
            await add(store, job(name, created=place), bytes(4 * MIB))
            store.put_checkpoint(name, checkpoint(), "")
        store.move("b", JobState.SUCCEEDED, {}, 10.0, 99.0)
        store.move("a", JobState.SUCCEEDED, {}, 20.0, 99.0)
        await add(store, job("d"), bytes(4 * MIB))
        assert await store.get("b") is None, "it ended first"
        assert await store.kept_steps("a") == [(0, 2)]
        assert await store.get("c") is not None
        await add(store, job("e"), bytes(3 * MIB))
        assert await store.get("a") is None
        with pytest.raises(StoreFull, match="all of them are in use"):
            await add(store, job("f"), bytes(4 * MIB))
        assert await store.get("f") is None
        assert await store.kept_steps("c") == [(0, 2)], "what goes on is never touched"

    run(test, tmp_path, 15 * MIB)


def test_what_is_over_its_time_goes_with_all_that_belongs_to_it() -> None:
    async def test(store: Store) -> None:
        for name in "ab":
            await add(store, job(name))
            store.put_event(name, 1, EVENTS[0])
            store.put_checkpoint(name, checkpoint(), "")
        store.move("a", JobState.SUCCEEDED, {}, 10.0, 20.0)
        await store.expire(19.0)
        assert await store.get("a")
        await store.expire(20.0)
        assert await store.get("a") is None
        assert await store.events("a") == []
        assert await store.kept_steps("a") == []
        assert await store.events("b")

    run(test)


def test_a_disk_that_is_full_refuses_what_must_be_stored_and_says_the_rest_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(store: Store) -> None:
        await add(store, job("a"))
        await store._database.ask(lambda connection: connection.execute("PRAGMA max_page_count = 20").fetchone())
        with pytest.raises(StoreFull, match="full"):
            await add(store, job("b"), bytes(MIB))
        for sequence in range(3):
            store.put_event("a", sequence, Image(0, 7, "png", bytes(MIB), (8, 8)))
        assert await store.events("a") == []
        store.put_event("a", 9, EVENTS[0])
        assert await store.events("a") == [(9, EVENTS[0])], "what fits is stored again"

    run(test, tmp_path)
    assert [record.message for record in caplog.records] == [
        "the job store takes nothing: database or disk is full; drawing goes on"
    ]


def test_only_its_owner_may_read_it_whatever_the_mask_is(tmp_path: Path) -> None:
    async def test(store: Store) -> None:
        await add(store, job("a"))
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "s").iterdir()} == {0o600}

    before = os.umask(0)
    try:
        run(test, tmp_path / "s")
    finally:
        os.umask(before)


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LoadError, match="no jobs can be stored here"):
        Store(tmp_path / "file" / "state", MIB)
    with sqlite3.connect(tmp_path / NAME) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(LoadError, match="another version of Safelight"):
        Store(tmp_path, MIB)


def test_the_clock_of_stored_times_neither_jumps_nor_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = WallClock()
    began = clock.now()
    monkeypatch.setattr("time.time", lambda: began + 10**7)
    assert clock.now() < began + 60
    monkeypatch.setattr("time.time", lambda: began - 10**7)
    later = WallClock()
    later.begin_after(began)
    assert later.now() >= began


def test_jobs_are_found_by_their_owner() -> None:
    async def test(store: Store) -> None:
        for name, owner in (("a", "alice"), ("b", "bob"), ("c", "")):
            await add(store, job(name, request_id="mine", owner=owner))
        for name, owner in (("a", "alice"), ("b", "bob"), ("c", "")):
            found = await store.by_request(owner, "mine")
            assert found is not None
            assert (found.id, found.owner) == (name, owner)
            assert [row.id for row in await store.page(9, None, None, "", owner)] == [name]
        assert await store.by_request("carol", "mine") is None
        assert len(await store.page(9, None, None, "")) == 3

    run(test)


def store_of_version_1(folder: Path) -> None:
    """As it was before jobs had owners."""
    with closing(sqlite3.connect(folder / NAME)) as old, old:
        old.executescript(schema.SCHEMA.replace("  owner TEXT NOT NULL DEFAULT '',\n", ""))
        columns = "id, reserved, request_id, digest, model, state, created, record, request"
        values = ("old", 7, "mine", b"digest", "m", "succeeded", 1.0, "{}", b"asked")
        old.execute(f"INSERT INTO jobs ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        old.execute("PRAGMA user_version = 1")


def test_a_store_from_before_there_were_owners_is_taken_over(tmp_path: Path) -> None:
    store_of_version_1(tmp_path)

    async def test(store: Store) -> None:
        found = await store.get("old")
        assert found is not None
        assert (found.owner, found.reserved, found.state) == ("", 7, JobState.SUCCEEDED)
        await add(store, job("new", owner="alice"))
        assert await store.request("old") == b"asked"

    run(test, tmp_path)


def test_an_upgrade_that_breaks_off_is_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store_of_version_1(tmp_path)
    with monkeypatch.context() as patch:
        patch.setitem(schema.UPGRADES, 1, f"{schema.UPGRADES[1]}; SELECT * FROM nowhere")
        with pytest.raises(LoadError, match="nowhere"):
            Store(tmp_path, MIB)

    async def test(store: Store) -> None:
        assert await store.request("old") == b"asked"

    run(test, tmp_path)
