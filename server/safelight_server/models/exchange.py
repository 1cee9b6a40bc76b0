"""Loads and unloads the models of a library, one at a time and to the end; others make room for one that is wanted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from safelight_server.errors import ModelTooLarge
from safelight_server.lanes.buffers import resident
from safelight_server.lanes.free_memory import available, reserve

from . import checking, footprint
from .known import Known, ModelState
from .loader import OnProgress
from .registry import Registry
from .verified import Verified

log = logging.getLogger(__name__)


class Exchange:
    """`limit`: bytes that the process may take for a model to be loaded; None: as many as there are.
    `verified`: how a model's files are checked before they are loaded; None: they are not.

    `is_busy` says whether there are jobs that a model draws, or is about to; `freed` is called when there are fewer.
    `on_change` is called when a model stands in another way.
    """

    def __init__(
        self,
        registry: Registry,
        known: Mapping[str, Known],
        limit: int | None,
        verified: Verified | None,
        is_busy: Callable[[Known], bool],
        on_change: Callable[[], None],
    ) -> None:
        self._registry, self._known, self.limit, self.verified = registry, known, limit, verified
        self._is_busy, self._on_change = is_busy, on_change
        self._lock = asyncio.Lock()
        self._changing: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None, None]:
        """In here, nobody else loads or unloads anything."""
        async with self._lock:
            if self._changing is not None and not self._changing.done():
                await asyncio.wait({self._changing})  # its caller was cancelled; it was not
            yield

    def freed(self) -> None:
        """A job is over, or has begun that somebody held a model for."""
        self._news.set()

    async def rest(self, one: Known) -> None:
        """Waits until it has no jobs."""
        while self._is_busy(one):
            await self.news()

    async def load(self, one: Known, beside: Sequence[Known], on_progress: OnProgress) -> None:
        """In the turn: loads it, if it is not; those `beside` stay. Raises ModelTooLarge or LoadError."""
        if one.state is ModelState.LEAVING:
            await self.unload(one)
        if one.state is not ModelState.LOADED:
            await self._make_room(one, beside)
            await self._to_the_end(self._load(one, on_progress))

    async def unload(self, one: Known) -> None:
        """In the turn: gives its memory back, once it has no jobs."""
        await self.rest(one)
        await self._unload(one)

    def can_go(self, one: Known) -> bool:
        return one.state is ModelState.LOADED and not self._is_busy(one)

    def idle(self, beside: Collection[str]) -> list[Known]:
        """Those that can go, without those beside them."""
        return [one for one in self._known.values() if one.name not in beside and self.can_go(one)]

    async def unload_idle(self, beside: Collection[str]) -> None:
        """In the turn: the one of them that was wanted least lately."""
        await self._unload(min(self.idle(beside), key=lambda one: one.wanted))

    async def _make_room(self, one: Known, beside: Sequence[Known]) -> None:
        """Unloads others until it fits, the one first that was wanted least lately. Jobs are waited for."""
        while not self.has_room_for(one):
            names = [known.name for known in beside]
            if self.idle(names):
                await self.unload_idle(names)
            elif any(name not in names for name in self._registry.models):
                await self.news()
            else:
                most = resident() + available()
                raise ModelTooLarge(one.name, one.needs, resident(), most if self.limit is None else self.limit)

    def has_room_for(self, one: Known) -> bool:
        """Within the limit; and in the memory that there is, where it is known and not guessed what the model takes."""
        within = self.limit is None or resident() + one.needs <= self.limit
        return within and (not one.was_loaded or one.needs <= available())

    async def news(self) -> None:
        """Waits until a job is over."""
        self._news.clear()
        await self._news.wait()

    async def _to_the_end(self, work: Coroutine[Any, Any, None]) -> None:
        """Also for a caller who is cancelled: a graph that is being compiled cannot be stopped."""
        self._changing = asyncio.create_task(work)
        self._changing.add_done_callback(lambda task: task.cancelled() or task.exception())  # its caller may have left
        await asyncio.shield(self._changing)

    async def _load(self, one: Known, on_progress: OnProgress) -> None:
        config, began, before = one.info.config, time.monotonic(), resident()
        self._move(one, ModelState.LOADING)
        try:
            await self._check(one)
            with reserve(one.needs):
                model = await self._registry.load(
                    one.name, config, one.device, lane=one.lane, limit=self.limit, on_progress=on_progress
                )
        except BaseException as error:
            one.failed = time.monotonic()
            if not isinstance(error, asyncio.CancelledError):  # the server leaves
                log.error("model %s could not be loaded: %s", one.name, error)
            self._move(one, ModelState.FAILED)
            raise
        one.info, one.wanted = model.info, time.monotonic()
        one.seconds, one.memory = one.wanted - began, max(1, resident() - before)
        self._move(one, ModelState.LOADED)
        log.info(one.told())

    async def _check(self, one: Known) -> None:
        await checking.check_unchanged(one)
        if self.verified is not None and not one.is_checked:
            await checking.check_files(one, self.verified)
        one.is_checked = False

    async def _unload(self, one: Known) -> None:
        self._move(one, ModelState.UNLOADED)  # at once, before anything is awaited: nobody holds it from here on
        await self._to_the_end(self._close(one))

    async def _close(self, one: Known) -> None:
        before = resident()
        await self._registry.unload(one.name)
        await asyncio.to_thread(footprint.give_back)
        given = max(0, before - resident())
        log.info("model %s is unloaded: %s given back", one.name, footprint.size(given))

    def _move(self, one: Known, state: ModelState) -> None:
        one.state = state
        self._on_change()
