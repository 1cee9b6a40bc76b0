"""A fixed number of slots for jobs: who has one is drawn, who has none waits, first come first served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from safelight_server.observer import SILENT, Observer


class _Waiter(NamedTuple):
    turn: asyncio.Future[None]
    on_position: Callable[[int], None]


class Slots:
    def __init__(self, count: int, observer: Observer = SILENT) -> None:
        self._count = self._free = count
        self._waiting: list[_Waiter] = []
        self._observer = observer

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @asynccontextmanager
    async def take(self, on_position: Callable[[int], None]) -> AsyncGenerator[None, None]:
        """Waits for a slot; gives it back in any case.

        `on_position` hears how many jobs come before this one, and this one counted: now, and whenever that changes.
        It is 0 for a job that need not wait.
        """
        on_position(len(self._waiting) + (not self._free))
        if self._free:
            self._free -= 1
            self._observer.slots_changed(self._count - self._free, self.waiting)
        else:
            await self._wait(on_position)
        try:
            yield
        finally:
            self._give_back()

    async def _wait(self, on_position: Callable[[int], None]) -> None:
        waiter = _Waiter(asyncio.get_running_loop().create_future(), on_position)
        self._waiting.append(waiter)
        self._observer.slots_changed(self._count, self.waiting)
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
                self._tell_positions()
            else:
                self._give_back()  # the turn came in the same moment as the cancellation
            raise

    def _give_back(self) -> None:
        if self._waiting:
            self._waiting.pop(0).turn.set_result(None)
            self._tell_positions()
        else:
            self._free += 1
            self._observer.slots_changed(self._count - self._free, 0)

    def _tell_positions(self) -> None:
        self._observer.slots_changed(self._count, self.waiting)
        for position, waiter in enumerate(self._waiting, 1):
            waiter.on_position(position)
