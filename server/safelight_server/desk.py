"""The front desk: what every door does alike. It checks what is asked for, lets it in, and submits it."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import TypeVar

from .diffusion.model_info import ModelInfo
from .diffusion.plan import Plan
from .engine.engine import Engine
from .errors import StillLoading
from .images import decoder, turns
from .jobs import Done, Event, Previews

log = logging.getLogger(__name__)

CHECKS = 12  # at a time, beside those that a picture holds up

T = TypeVar("T")
Check = Callable[[Mapping[str, ModelInfo]], T]  # raises InvalidRequest or ModelNotFound


class Desk:
    """`engine` is set once the models are loaded; until then, all methods raise StillLoading."""

    def __init__(self) -> None:
        self.engine: Engine | None = None
        # Threads of their own, of which pictures can never hold all. They are started only when they are needed.
        self._threads = ThreadPoolExecutor(decoder.MOST_THREADS + CHECKS, "check")

    def infos(self) -> dict[str, ModelInfo]:
        """The models that are served, by name."""
        return {name: model.info for name, model in self._ready().models.items()}

    async def check(self, check: Check[T], caller: object = None, *, unpacks: bool = True) -> T:
        """What `check` makes of a request. A check that `unpacks` pictures may take a while: it runs in a thread, and
        is given up if this is cancelled.

        Raises QueueFull or ShuttingDown before any of that, if no job at all would be let in; then what `check` raises.
        """
        self._ready().check_room(caller)
        if not unpacks:
            return check(self.infos())  # under load, a thread's turn comes later than the check takes
        with turns.wanted():
            here = contextvars.copy_context()  # the id of the call for log lines, and whether its pictures are wanted
            return await asyncio.get_running_loop().run_in_executor(self._threads, here.run, check, self.infos())

    async def submit(
        self, plan: Plan, previews: Previews | None, deadline: float | None, caller: object = None
    ) -> AsyncGenerator[Event, None]:
        """The events of the job, as Engine.run gives them; closing the generator stops the work.

        `caller` is who asks: each caller gets its share, and no more while others wait.
        """
        job, (height, width) = plan.job, plan.job.size
        log.info("drawing %d of %d x %d with %s, %d steps", len(job.seeds), width, height, job.model, job.steps)
        began = time.monotonic()
        try:
            async with aclosing(self._ready().run(plan, previews, deadline, caller)) as events:
                async for event in events:
                    yield event
                    if isinstance(event, Done):
                        log.info("done in %.2f s", event.timings["total"])
        except (asyncio.CancelledError, GeneratorExit):
            log.info("cancelled after %.2f s", time.monotonic() - began)
            raise

    def _ready(self) -> Engine:
        if self.engine is None:
            raise StillLoading
        return self.engine
