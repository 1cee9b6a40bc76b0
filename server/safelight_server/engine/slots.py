"""Slots for jobs: who has one is drawn, who has none waits. The policy says who is next; callers get equal shares."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from safelight_server.lanes import policy
from safelight_server.lanes.ticket import Ticket
from safelight_server.observer import SILENT, Observer


@dataclass(eq=False)
class _Waiter:
    turn: asyncio.Future[None]
    ticket: Ticket
    on_position: Callable[[int], None]
    position: int = 0  # that was told last


class Slots:
    """`count` slots, and as many more for callers that have none: nobody waits for another caller's long jobs to end.

    More jobs at a time cost little: the lanes run one step at a time all the same.
    """

    def __init__(self, count: int, observer: Observer = SILENT) -> None:
        self._count = count
        self._taken: Counter[object] = Counter()  # slots by caller
        self._waiting: list[_Waiter] = []
        self._observer = observer

    @property
    def taken(self) -> int:
        return self._taken.total()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @asynccontextmanager
    async def take(self, ticket: Ticket, on_position: Callable[[int], None]) -> AsyncGenerator[None, None]:
        """Waits for a slot; gives it back in any case.

        `on_position` hears how many jobs come before this one, and this one counted: now, and whenever that changes.
        It is 0 for a job that need not wait.
        """
        if self._has_room(ticket.caller):
            on_position(0)
            self._take(ticket)
        else:
            await self._wait(ticket, on_position)
        try:
            yield
        finally:
            self._give_back(ticket)

    def _has_room(self, caller: object) -> bool:
        return self.taken < (self._count if self._taken[caller] else 2 * self._count)

    def _take(self, ticket: Ticket) -> None:
        self._taken[ticket.caller] += 1
        self._observer.slots_changed(self.taken, self.waiting)

    async def _wait(self, ticket: Ticket, on_position: Callable[[int], None]) -> None:
        waiter = _Waiter(asyncio.get_running_loop().create_future(), ticket, on_position)
        self._waiting.append(waiter)
        self._tell_positions()
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
                self._tell_positions()
            else:
                self._give_back(ticket)  # the turn came in the same moment as the cancellation
            raise

    def _give_back(self, ticket: Ticket) -> None:
        self._taken[ticket.caller] -= 1
        self._taken += Counter()  # drops those that have none
        # A waiter whose caller has hung up is still in the list, until its own task takes it out.
        waiting = [waiter for waiter in self._ranked() if not waiter.turn.done()]
        if first := next((waiter for waiter in waiting if self._has_room(waiter.ticket.caller)), None):
            self._waiting.remove(first)
            self._taken[first.ticket.caller] += 1
            first.turn.set_result(None)
        self._tell_positions()

    def _ranked(self) -> list[_Waiter]:
        """The one that goes next first: of the caller with the fewest slots, the most urgent."""
        now = time.monotonic()
        ready = {id(waiter): waiter.ticket.ready(now, 0.0) for waiter in self._waiting}
        return sorted(
            self._waiting,
            key=lambda waiter: (self._taken[waiter.ticket.caller], policy.urgency(ready[id(waiter)])),
        )

    def _tell_positions(self) -> None:
        self._observer.slots_changed(self.taken, self.waiting)
        for position, waiter in enumerate(self._ranked(), 1):
            if waiter.position != position:
                waiter.position = position
                waiter.on_position(position)
