"""The front desk: what every door does alike. It checks what is asked for, lets it in, and submits it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import TypeVar

from .diffusion.model_info import ModelInfo
from .diffusion.plan import Plan
from .engine.engine import Engine
from .errors import StillLoading
from .jobs import Done, Event, Previews

log = logging.getLogger(__name__)

T = TypeVar("T")
Check = Callable[[Mapping[str, ModelInfo]], T]  # raises InvalidRequest or ModelNotFound


class Desk:
    """`engine` is set once the models are loaded; until then, all methods raise StillLoading."""

    def __init__(self) -> None:
        self.engine: Engine | None = None

    def infos(self) -> dict[str, ModelInfo]:
        """The models that are served, by name."""
        return {name: model.info for name, model in self._ready().models.items()}

    async def check(self, check: Check[T], caller: object = None) -> T:
        """What `check` makes of a request. It runs in a thread, for a picture may take a while to unpack.

        Raises QueueFull or ShuttingDown before any of that, if no job at all would be let in; then what `check` raises.
        """
        self._ready().check_room(caller)
        return await asyncio.to_thread(check, self.infos())

    async def submit(
        self, plan: Plan, previews: Previews | None, deadline: float | None, caller: object = None
    ) -> AsyncGenerator[Event, None]:
        """The events of the job, as Engine.run gives them; closing the generator stops the work.

        `caller` is who asks: each caller gets its share, and no more while others wait.
        """
        job, (height, width) = plan.job, plan.job.size
        log.info("drawing %d of %d x %d with %s, %d steps", len(job.seeds), width, height, job.model, job.steps)
        async with aclosing(self._ready().run(plan, previews, deadline, caller)) as events:
            async for event in events:
                yield event
                if isinstance(event, Done):
                    log.info("done in %.2f s", event.timings["total"])

    def _ready(self) -> Engine:
        if self.engine is None:
            raise StillLoading
        return self.engine
