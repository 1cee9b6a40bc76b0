"""One device's executor: one inference at a time, and whose turn is next."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Mapping
from enum import IntEnum

from .network import Network, Tensor


class Rank(IntEnum):
    """Lower goes first; within a rank, who came first."""

    PREVIEW = 0  # short, and somebody is looking
    STEP = 1


class Lane:
    """Takes turns: jobs on one device alternate step by step, so none waits for another's whole picture.

    Two compiled graphs that run at once on the same cores are slower than one after the other; hence one at a time.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self._busy = False
        self._waiting: list[tuple[Rank, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    async def run(self, network: Network, inputs: Mapping[str, Tensor], rank: Rank = Rank.STEP) -> dict[str, Tensor]:
        """Runs `network` when its turn comes. Raises what the network raises; gives the turn back in any case."""
        await self._turn(rank)
        try:
            return await network(inputs)
        finally:
            self._pass_on()

    async def _turn(self, rank: Rank) -> None:
        if not self._busy:
            self._busy = True
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (rank, next(self._order), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()  # the turn came in the same moment as the cancellation
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._busy = False
