"""The mailbox between a job and one of its readers."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from safelight_server.engine.mailbox import Frame, Mailbox
from safelight_server.events import Done, Image, Progress
from safelight_server.jobs import Previews


def frame(step: int) -> Frame:
    return Frame(0, step, 9, "m", np.zeros((1, 4, 2, 2), np.float32))


async def read(mailbox: Mailbox) -> list[Any]:
    return [item async for _, item in mailbox.read()]


def test_a_slow_reader_gets_the_newest_preview_and_how_many_it_missed() -> None:
    async def run() -> None:
        mailbox = Mailbox(Previews())
        for step in (1, 2, 3):
            mailbox.put(Progress(0, step, 9, "m", 0.1))
            mailbox.put(frame(step))
        mailbox.close()
        progress, preview = await read(mailbox)
        assert progress.step == 3
        assert (preview.step, preview.skipped) == (3, 2)

    asyncio.run(run())


def test_pictures_are_never_dropped_and_keep_their_place() -> None:
    async def run() -> None:
        mailbox = Mailbox(Previews())
        images = [Image(i, i, "png", b"", (8, 8)) for i in range(3)]
        for image in images:
            mailbox.put(image)
            mailbox.put(frame(1))
        mailbox.put(Done({}))
        mailbox.close()
        items = await read(mailbox)
        assert items[:3] == images
        assert [type(item).__name__ for item in items[3:]] == ["Frame", "Done"]

    asyncio.run(run())


def test_an_error_comes_after_what_was_put_before_it() -> None:
    async def run() -> None:
        mailbox = Mailbox(Previews())
        mailbox.put(Done({}))
        mailbox.close(ValueError("late"))
        items = mailbox.read()
        assert await anext(items) == (0, Done({}))
        with pytest.raises(ValueError, match="late"):
            await anext(items)

    asyncio.run(run())
