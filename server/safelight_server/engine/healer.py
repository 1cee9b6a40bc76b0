"""Compiles anew what has failed, while the other models go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping

from safelight_server.diffusion.pipeline import Pipeline

log = logging.getLogger(__name__)


class Healer:
    """`on_health` is called whenever a model may have become ready, or not ready any more."""

    def __init__(self, models: Mapping[str, Pipeline], on_health: Callable[[], None]) -> None:
        self._models, self._on_health = models, on_health
        self._healing: dict[str, asyncio.Task[None]] = {}

    def check(self, names: Collection[str]) -> None:
        """Begins to heal those of these models that are not ready."""
        for name in set(names) - self._healing.keys():
            if not self._models[name].ready:
                self._healing[name] = asyncio.create_task(self._heal(name))
                self._on_health()

    async def _heal(self, name: str) -> None:
        try:
            await self._models[name].heal()
            log.info("model %s is compiled anew", name)
        except Exception:
            log.exception("model %s could not be compiled anew", name)  # it stays refused, and the health says so
        finally:
            del self._healing[name]
            self._on_health()
