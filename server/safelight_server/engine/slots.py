"""Who is being served and who waits: a fixed number of slots, first come first served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple


class _Ticket(NamedTuple):
    turn: asyncio.Future[None]
    moved: Callable[[int], None]


class Slots:
    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: list[_Ticket] = []

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @asynccontextmanager
    async def take(self, moved: Callable[[int], None]) -> AsyncGenerator[None, None]:
        """Waits for a slot; gives it back in any case. `moved` hears how many come first, now and as that changes."""
        moved(len(self._waiting) + (not self._free))
        if self._free:
            self._free -= 1
        else:
            await self._turn(moved)
        try:
            yield
        finally:
            self._give_back()

    async def _turn(self, moved: Callable[[int], None]) -> None:
        ticket = _Ticket(asyncio.get_running_loop().create_future(), moved)
        self._waiting.append(ticket)
        try:
            await ticket.turn
        except asyncio.CancelledError:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                self._tell()
            else:
                self._give_back()  # the turn came in the same moment as the cancellation
            raise

    def _give_back(self) -> None:
        if not self._waiting:
            self._free += 1
            return
        self._waiting.pop(0).turn.set_result(None)
        self._tell()

    def _tell(self) -> None:
        for position, ticket in enumerate(self._waiting, 1):
            ticket.moved(position)
