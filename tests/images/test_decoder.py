"""Where pictures are unpacked: in turns, given up when nobody waits, and ended when they take too long."""

from __future__ import annotations

import asyncio
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
from safelight_server.desk import Desk
from safelight_server.errors import PicturesWaiting
from safelight_server.images import decoder, turns
from safelight_server.images.budget import judge
from safelight_server.images.header import BadPicture
from safelight_server.images.turns import GivenUp, Turns
from support import bombs

DEAR = judge(bombs.flat_png(4096, 2048))
CUT = judge(
    bombs.with_chunks(
        bombs.flat_png(4096, 2048, idat=b""), bombs.chunk(b"IDAT", zlib.compress(bytes(2**20), 0)), last=True
    )
)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A program that never ends, in place of the one that unpacks."""
    monkeypatch.setattr(decoder, "PROGRAM", ("-c", "import time; time.sleep(600)"))
    before = set(psutil.Process().children())  # other tests' servers, and Python's own helpers
    yield
    assert set(psutil.Process().children()) <= before, "each process is ended with its picture"


def test_a_picture_that_turns_out_dear_is_ended(slow: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "LONGEST", 0.5)
    with pytest.raises(BadPicture, match="takes too long to unpack"):
        decoder.pixels_of(DEAR, "RGB", (64, 64))


def test_a_picture_that_takes_too_much_of_a_core_ends_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = "from safelight_server.images import unpack; unpack.SECONDS = 1; unpack._bound()\nwhile True: pass"
    monkeypatch.setattr(decoder, "PROGRAM", ("-c", busy))
    with pytest.raises(BadPicture, match="takes too long to unpack"):
        decoder.pixels_of(DEAR, "RGB", (64, 64))


def test_a_dear_picture_that_breaks_off_is_refused() -> None:
    with pytest.raises(BadPicture, match="the file is broken or breaks off"):
        decoder.pixels_of(CUT, "RGB", (64, 64))


def test_a_process_that_cannot_be_started_is_no_fault_of_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(PicturesWaiting):
        decoder.pixels_of(DEAR, "RGB", (64, 64))


def test_a_picture_that_nobody_waits_for_is_given_up(slow: None) -> None:
    async def test() -> None:
        desk = Desk()
        engine: Any = type("Open", (), {"check_room": lambda self, caller: None, "infos": {}})()
        desk.book = type("Book", (), {"engine": engine})()
        told: list[BaseException] = []

        def unpack(infos: object) -> None:
            try:
                decoder.pixels_of(DEAR, "RGB", (64, 64))
            except BaseException as error:
                told.append(error)

        check = asyncio.create_task(desk.check(unpack))
        await asyncio.sleep(0.3)
        check.cancel()
        await _until(lambda: bool(told))
        assert [type(error) for error in told] == [GivenUp]

    asyncio.run(test())


async def _until(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not ready():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def test_few_at_once_few_waiting_and_not_for_ever() -> None:
    queue = Turns(at_once=1, most=1, patience=0.3)
    refused: list[type[BaseException]] = []

    def wait() -> None:
        try:
            with queue.turn():
                raise AssertionError("the turn is taken")
        except PicturesWaiting as error:
            refused.append(type(error))

    with queue.turn():
        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(0.05)
        wait()  # at once: the one place to wait is taken
        assert (len(refused), waiting.is_alive()) == (1, True)
        waiting.join()
    assert refused == [PicturesWaiting] * 2
    with queue.turn(), turns.wanted():
        turns.stop_if_given_up()


def test_pictures_that_wait_hold_up_no_other_check() -> None:
    """As many as can wait do; a check without a picture is not behind them."""

    async def test() -> None:
        desk = Desk()
        engine: Any = type("Open", (), {"check_room": lambda self, caller: None, "infos": {}})()
        desk.book = type("Book", (), {"engine": engine})()
        free = threading.Event()
        held = [asyncio.create_task(desk.check(lambda infos: free.wait())) for _ in range(decoder.MOST_THREADS)]
        await asyncio.sleep(0)
        try:
            assert await asyncio.wait_for(desk.check(lambda infos: "checked"), 30) == "checked"
        finally:
            free.set()
            await asyncio.gather(*held)

    asyncio.run(test())
