"""Models that are always there, for whoever loads them by hand and unloads none; and what a Library has beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Protocol

from safelight_server.diffusion.model_info import ModelInfo
from safelight_server.diffusion.pipeline import Pipeline

from .known import Known


class Models(Protocol):
    """What an engine draws with: see Library, which has all of this."""

    in_use: Callable[[str], bool]
    is_loading: bool

    @property
    def models(self) -> Mapping[str, Pipeline]: ...

    @property
    def infos(self) -> Mapping[str, ModelInfo]: ...

    @property
    def known(self) -> Mapping[str, Known]: ...

    @property
    def health(self) -> Mapping[str, bool]: ...

    def held(
        self, names: Iterable[str], *, wait: bool = True, deadline: float | None = None
    ) -> AbstractAsyncContextManager[None]: ...

    def freed(self, names: Iterable[str]) -> None: ...

    def could_give(self, beside: Collection[str]) -> int: ...

    async def give(self, beside: Collection[str]) -> bool: ...


class Always:
    """Some models, none of which comes or goes."""

    def __init__(self, models: Mapping[str, Pipeline]) -> None:
        self.models = models
        self.known: Mapping[str, Known] = {}  # that come and go
        self.in_use: Callable[[str], bool] = lambda name: False
        self.is_loading = False
        self._news = asyncio.Event()

    @property
    def infos(self) -> Mapping[str, ModelInfo]:
        return {name: model.info for name, model in self.models.items()}

    @property
    def health(self) -> Mapping[str, bool]:
        return {name: model.ready for name, model in self.models.items()}

    def held(
        self, names: Iterable[str], *, wait: bool = True, deadline: float | None = None
    ) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    def freed(self, names: Iterable[str]) -> None:
        """Nobody waits for that, but `give`."""
        self._news.set()

    def could_give(self, beside: Collection[str]) -> int:
        return 0

    async def give(self, beside: Collection[str]) -> bool:
        """Once a job is over, if there is one."""
        if not any(map(self.in_use, self.models)):
            return False
        self._news.clear()
        await self._news.wait()
        return True
