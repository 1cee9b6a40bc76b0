"""Room in memory for the next inference: what other networks keep is given back first, and none begins without room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from weakref import WeakSet

from safelight_server.errors import MemoryShort

from .free_memory import unreserved
from .network import Network

# What a run takes is not known to the byte. At a shape that is new, a device also keeps what it makes for it; and
# others take memory too: pictures, messages, allocators.
SHARE, SPARE = 1.15, 48 * 2**20


class Room:
    """Of one lane, between two of its inferences. `available` tells the bytes that a job may still take."""

    def __init__(self, available: Callable[[], int] = unreserved) -> None:
        self._available = available
        self._networks: WeakSet[Network] = WeakSet()  # that have run

    async def make(self, network: Network, shape: tuple[int, ...], reserved: int = 0) -> None:
        """`reserved`: bytes that are there for this run beside those that any job may take.

        Raises MemoryShort where there is not enough for a run of this shape, even when no network keeps anything."""
        self._networks.add(network)
        if network.buffers.has_run(shape) or self._fits(network.buffers.more(shape), reserved):
            return
        for other in [other for other in self._networks if other is not network and other.buffers.kept]:
            await asyncio.to_thread(other.trim)
        if self._fits(network.buffers.more(shape), reserved):
            return
        if network.buffers.kept:  # of a shape that is larger, or another one
            await asyncio.to_thread(network.trim)
        if not self._fits(network.buffers.whole(shape), reserved):
            raise MemoryShort(with_spare(network.buffers.whole(shape) or 0), self._available())

    def _fits(self, count: int | None, reserved: int) -> bool:
        return with_spare(count or 0) <= self._available() + reserved


def with_spare(count: int) -> int:
    """Bytes that must be there for a run that is thought to take so many."""
    return round(count * SHARE) + SPARE
