"""Makes networks that have failed ready again, however often it takes, while a lane goes on with the others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from safelight_server.observer import SILENT, Observer

from .network import Network

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds between two tries; each is twice as long as the one before


class Healer:
    """`on_change` is called with a network when it has broken, when it could not be healed, and when it is healed."""

    def __init__(self, on_change: Callable[[Network], None], observer: Observer = SILENT) -> None:
        self._on_change, self._observer = on_change, observer
        self._healing: dict[int, asyncio.Task[None]] = {}  # by the network's identity
        self._failed: set[int] = set()

    def check(self, network: Network) -> None:
        """Begins to heal it, if it is broken and nobody does so already."""
        if network.broken and id(network) not in self._healing:
            self._healing[id(network)] = asyncio.create_task(self._heal(network))
            self._on_change(network)

    def has_failed(self, network: Network) -> bool:
        """Whether a try to heal it has failed: it may take long until it is ready again."""
        return id(network) in self._failed

    async def _heal(self, network: Network) -> None:
        pause = FIRST_PAUSE
        while not await self._load(network):
            self._failed.add(id(network))
            self._on_change(network)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        self._failed.discard(id(network))
        del self._healing[id(network)]
        self._observer.network_healed(network.name)
        self._on_change(network)

    async def _load(self, network: Network) -> bool:
        began = asyncio.get_running_loop().time()
        try:
            await asyncio.to_thread(network.load)
        except Exception as error:  # whatever OpenVINO raises for want of memory, of a device, of a file
            log.error("network %s could not be compiled anew, and will be tried again: %s", network.name, error)
            return False
        log.info("network %s is compiled anew, in %.1f s", network.name, asyncio.get_running_loop().time() - began)
        return True
