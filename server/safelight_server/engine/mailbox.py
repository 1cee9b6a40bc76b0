"""Between a job and one subscriber: the job never waits, and a slow reader gets the newest of what goes stale."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

from safelight_server.arrays import Array
from safelight_server.events import Done, Image, Progress, Queued, Rested, Resumed, Started
from safelight_server.jobs import Previews
from safelight_server.lanes.ticket import Ticket
from safelight_server.observer import SILENT, Observer


@dataclass(frozen=True)
class Frame:
    """A preview that nobody has painted yet: one that the subscriber never reads costs nothing."""

    index: int  # of the image
    step: int
    steps: int
    model: str
    denoised: Array  # x0 latents (1, channels, h, w)
    skipped: int = 0  # frames that the subscriber did not read before this one
    ticket: Ticket | None = None  # of the painting, where that needs a lane


Item = Queued | Started | Progress | Frame | Image | Rested | Resumed | Done

STALE = (Queued, Progress, Frame)  # a newer one of these takes the place of one that is still unread


class Cadence:
    """After which steps a subscriber wants a preview; `previews` None: after none of them."""

    def __init__(self, previews: Previews | None) -> None:
        self._every = previews.every if previews else 0
        self._interval = previews.min_interval if previews else 0.0
        self._last = -float("inf")

    def due(self, step: int) -> bool:
        now = time.monotonic()
        if not self._every or step % self._every or now - self._last < self._interval:
            return False
        self._last = now
        return True


class Mailbox:
    """One writer, one reader. It holds at most one item of each stale kind, and every other item until it is read."""

    def __init__(self, previews: Previews | None = None, observer: Observer = SILENT) -> None:
        self._cadence = Cadence(previews)
        self.wants_previews = previews is not None and previews.every > 0
        self._observer = observer
        self.watched = False  # the reader waits for an item right now
        self._items: deque[tuple[int, Item]] = deque()  # each with its number in the job
        self._news = asyncio.Event()
        self._closed = False
        self._error: BaseException | None = None

    def due(self, step: int) -> bool:
        """Whether the reader wants a preview after this step; to be asked once for each step."""
        return self._cadence.due(step)

    def put(self, item: Item, sequence: int = 0) -> None:
        if isinstance(item, STALE):
            unread = [old for _, old in self._items if type(old) is type(item)]
            self._items = deque(pair for pair in self._items if type(pair[1]) is not type(item))
            if isinstance(item, Frame):
                item = replace(item, skipped=sum(old.skipped + 1 for old in unread if isinstance(old, Frame)))
            for old in unread:
                self._observer.item_dropped(type(old).__name__)
        self._items.append((sequence, item))
        self._news.set()

    def close(self, error: BaseException | None = None) -> None:
        """Ends the reader's loop once all is read; the loop then raises `error`, if any. The first call counts."""
        if not self._closed:
            self._closed, self._error = True, error
        self._news.set()

    async def read(self) -> AsyncGenerator[tuple[int, Item], None]:
        """The items, each with its number, as they come; ends after `close`."""
        while True:
            while self._items:
                sequence, item = self._items.popleft()
                self._observer.item_read(type(item).__name__)
                yield sequence, item
            if self._closed:
                break
            self._news.clear()
            self.watched = True
            await self._news.wait()
            self.watched = False
        if self._error is not None:
            raise self._error
