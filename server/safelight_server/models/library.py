"""The models that a server knows: each is loaded when it is asked for, and unloaded where it is in the way."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

from safelight_server.diffusion.model_info import ModelInfo
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.errors import (
    DeadlineTooShort,
    JobError,
    LoadError,
    ModelLoading,
    ModelNotFound,
    ModelUnusable,
    QueueFull,
)
from safelight_server.lanes.free_memory import comes_back, reserved
from safelight_server.model_folder.model_config import ModelConfig
from safelight_server.observer import Observer

from . import loader
from .device import Device
from .exchange import Exchange
from .known import Known, ModelState
from .loader import OnProgress
from .registry import Registry, with_refiners
from .verified import Verified

log = logging.getLogger(__name__)

AFTER_FAILURE = 30.0  # seconds until a model that could not be loaded is tried again
MOST_WAITING = 64  # calls that wait for models at a time
LOOK = 5.0  # seconds between two looks for models that nobody asks for, at most


class Library:
    """`limit`: bytes that the process may take for a model to be loaded; None: as many as there are.
    `verified`: how a model's files are checked before they are loaded; None: they are not.

    `in_use` says whether there are jobs that a model draws: whoever draws sets it, and calls `freed` when one is over.
    `on_change` is called when a model stands in another way.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        limit: int | None = None,
        verified: Verified | None = None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.models: Mapping[str, Pipeline] = registry.models  # those that are loaded
        self.infos: Mapping[str, ModelInfo] = {}  # of all, in the order in which they were added: the first is default
        self.in_use: Callable[[str], bool] = lambda name: False
        self.is_loading = False  # those of a server that starts: it is not ready until they are there
        self._registry, self._on_change = registry, on_change
        self._known: dict[str, Known] = {}
        self._exchange = Exchange(registry, self._known, limit, verified, self._is_busy, self._changed)
        self._waiting = 0
        self._wishes: dict[tuple[str, ...], asyncio.Task[None]] = {}  # of those who did not wait

    @property
    def known(self) -> Mapping[str, Known]:
        """All that can be asked for."""
        return self._known

    @property
    def health(self) -> Mapping[str, bool]:
        """Whether a request for a model is served: at once, or after it is loaded."""
        return {name: self._is_well(one) for name, one in self._known.items()}

    def find(self, name: str, field: str = "name") -> Known:
        """Raises ModelNotFound, for a request's field."""
        if name not in self._known:
            raise ModelNotFound(field, name, list(self._known))
        return self._known[name]

    async def add(self, name: str, config: ModelConfig, device: Device, lane: str | None = None) -> Known:
        """A model that can be asked for from now on. Raises LoadError for one that can never be loaded."""
        info = await asyncio.to_thread(loader.describe, name, config, device, max_edge=self._registry.max_edge)
        self._known[name] = Known(info, device, lane or device.name)
        self._changed()
        return self._known[name]

    def fits(self, name: str) -> bool:
        """Whether there is room for a model, without unloading others. Raises ModelNotFound."""
        return self._exchange.has_room_for(self.find(name))

    @property
    def verified(self) -> Verified | None:
        return self._exchange.verified

    def observe(self, observer: Observer) -> None:
        """Of the lanes that are made from now on."""
        self._registry.observer = observer

    @property
    def limit(self) -> int | None:
        return self._exchange.limit

    @limit.setter
    def limit(self, limit: int | None) -> None:
        self._exchange.limit = limit

    async def forget(self, name: str) -> None:
        """Unloads a model, and there is none of this name any more. Raises ModelNotFound."""
        await self.unload(name)
        self._known.pop(name, None)
        self._changed()

    @asynccontextmanager
    async def held(
        self, names: Iterable[str], *, wait: bool = True, deadline: float | None = None
    ) -> AsyncGenerator[None, None]:
        """In here, these models are loaded, and nobody unloads them: for a job to begin.

        Raises ModelNotFound, ModelTooLarge, ModelUnusable; DeadlineTooShort where loading takes longer than that, a
        time.monotonic(); QueueFull where too many wait; and without `wait` ModelLoading, and loads them.
        """
        ones = [self.find(name, "model") for name in names]
        if missing := [one for one in ones if one.state is not ModelState.LOADED]:
            self._check(missing, wait, deadline)
            with self._waits(sum(one.seconds for one in missing)):
                await self._bring(ones)
        else:
            self._hold(ones, 1)
        try:
            yield
        finally:
            self._hold(ones, -1)
            self._exchange.freed()

    def freed(self, names: Iterable[str]) -> None:
        """A job is over that these models drew."""
        for one in [self._known[name] for name in names if name in self._known]:
            one.wanted = time.monotonic()
        self._exchange.freed()

    def could_give(self, beside: Collection[str]) -> int:
        """Bytes of the models that are loaded beside those, and what is reserved while one is being loaded."""
        others = [self._known[name].memory for name in self.models if name not in beside]
        return reserved() + (sum(others) if comes_back() else 0)

    async def give(self, beside: Collection[str]) -> bool:
        """Unloads a model beside those, or waits until a job is over. False: there is none, and nothing to wait for.

        Raises QueueFull where too many wait.
        """
        with self._waits():
            async with self._exchange.turn():
                if comes_back() and self._exchange.idle(beside):
                    await self._exchange.unload_idle(beside)
                    return True
            if not any(map(self._is_busy, self._known.values())):
                return False
            await self._exchange.news()
            return True

    async def load(self, name: str, on_progress: OnProgress = lambda what: None) -> Known:
        """Loads a model, if it is not. Raises ModelNotFound, ModelTooLarge or LoadError."""
        one = self.find(name)
        async with self._exchange.turn():
            await self._exchange.load(one, [one], on_progress)
        return one

    async def unload(self, name: str) -> None:
        """Gives its memory back, once its jobs are over; who asks for it waits, and has it loaded again.

        Raises ModelNotFound.
        """
        one = self.find(name)
        async with self._exchange.turn():
            if one.state is ModelState.LOADED:
                one.state = ModelState.LEAVING
        one.unloads += 1
        try:
            await self._exchange.rest(one)  # others have their turn meanwhile
            async with self._exchange.turn():
                if one.state is ModelState.LEAVING:
                    await self._exchange.unload(one)
        finally:
            one.unloads -= 1
            if one.state is ModelState.LEAVING and not one.unloads:  # all who wanted it have left
                one.state = ModelState.LOADED

    async def unload_idle(self, seconds: float) -> None:
        """Unloads what nobody has asked for in so many seconds, until it is cancelled."""
        while True:
            await asyncio.sleep(min(LOOK, seconds / 4))
            for one in list(self._known.values()):
                if self._is_busy(one):
                    one.wanted = time.monotonic()
                elif one.state is ModelState.LOADED and time.monotonic() - one.wanted > seconds:
                    async with self._exchange.turn():
                        if self._exchange.can_go(one):
                            await self._exchange.unload(one)

    def _check(self, missing: Sequence[Known], wait: bool, deadline: float | None) -> None:
        seconds, now = sum(one.seconds for one in missing), time.monotonic()
        for one in missing:
            if now < one.failed + AFTER_FAILURE:
                raise ModelUnusable(one.name, one.failed + AFTER_FAILURE - now)
        if not wait:
            self._wish(missing)
            raise ModelLoading(missing[0].name, seconds)
        if deadline is not None and deadline - now < seconds and all(one.was_loaded for one in missing):
            raise DeadlineTooShort(seconds, deadline - now, seconds)

    def _wish(self, missing: Sequence[Known]) -> None:
        names = tuple(one.name for one in missing)
        if names not in self._wishes:
            self._wishes[names] = asyncio.create_task(self._come(names))
            self._wishes[names].add_done_callback(lambda task: self._wishes.pop(names))

    async def _come(self, names: Sequence[str]) -> None:
        with suppress(JobError):  # is told to whoever asks next
            async with self.held(names):
                pass

    async def _bring(self, ones: Sequence[Known]) -> None:
        """Loads what is not loaded, and then holds all of them.

        Who waits for the turn holds nothing, so that no two can wait for each other.
        """
        async with self._exchange.turn():
            while missing := [one for one in ones if one.state is not ModelState.LOADED]:
                try:
                    await self._exchange.load(missing[0], ones, lambda what: None)
                except LoadError as error:
                    raise ModelUnusable(missing[0].name, AFTER_FAILURE) from error
            self._hold(ones, 1)

    @contextmanager
    def _waits(self, seconds: float = 0.0) -> Iterator[None]:
        """For a call that waits. Raises QueueFull where too many do; `seconds` is what this one waits for."""
        if self._waiting >= MOST_WAITING:
            raise QueueFull(self._waiting, seconds)
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    def _is_well(self, one: Known) -> bool:
        if one.name in self.models:
            return self.models[one.name].ready
        return one.state is ModelState.UNLOADED

    def _hold(self, ones: Sequence[Known], by: int) -> None:
        for one in ones:
            one.holds += by
            one.wanted = time.monotonic()

    def _is_busy(self, one: Known) -> bool:
        return one.holds > 0 or self.in_use(one.name)

    def _changed(self) -> None:
        self.infos = with_refiners({name: one.info for name, one in self._known.items()})
        self._on_change()
