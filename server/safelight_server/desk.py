"""The front desk: what every door does alike. It checks what is asked for, takes it as a job, and tells of jobs."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import TypeVar

from .contract import stored
from .contract.requests import plan_from
from .diffusion.model_info import ModelInfo
from .diffusion.plan import Plan
from .engine import forking, job_pages, watching
from .engine.event_log import Numbered
from .engine.job_book import JobBook, Work
from .engine.job_record import Ask, JobView
from .errors import CheckpointGone, StillLoading
from .events import Done, Event, Image, Rested
from .images import decoder, turns
from .jobs import Job, JobState, Previews
from .models.admin import Admin

log = logging.getLogger(__name__)

CHECKS = 12  # at a time, beside those that a picture holds up
MOST_EARLY = 64  # who ask for a job before the desk is open

T = TypeVar("T")
Check = Callable[[Mapping[str, ModelInfo]], T]  # raises InvalidRequest or ModelNotFound


class Desk:
    """`book` is set once it is known which models there are; until then, all methods raise StillLoading. From then on,
    jobs wait for the models that are not loaded yet; and so does who asks for one now.

    `admin` changes the models; a desk without one has always the same.
    """

    def __init__(self, admin: Admin | None = None) -> None:
        self._admin = admin
        self._book: JobBook | None = None
        self._opened = asyncio.Event()
        self._waiting = 0
        # Threads of their own, of which pictures can never hold all. They are started only when they are needed.
        self._threads = ThreadPoolExecutor(decoder.MOST_THREADS + CHECKS, "check")

    @property
    def book(self) -> JobBook | None:
        return self._book

    @book.setter
    def book(self, book: JobBook) -> None:
        self._book = book
        self._opened.set()

    @property
    def jobs(self) -> JobBook:
        if self.book is None:
            raise StillLoading
        return self.book

    @property
    def admin(self) -> Admin:
        if self.book is None or self._admin is None:
            raise StillLoading
        return self._admin

    def infos(self) -> dict[str, ModelInfo]:
        """The models that can be asked for, by name; the first is the default."""
        return dict(self.jobs.engine.infos)

    async def check(self, check: Check[T], caller: object = None, *, unpacks: bool = True) -> T:
        """What `check` makes of a request. A check that `unpacks` pictures may take a while: it runs in a thread, and
        is given up if this is cancelled.

        Raises QueueFull or ShuttingDown before any of that, if no job at all would be let in; then what `check` raises.
        """
        self.jobs.engine.check_room(caller)
        if not unpacks:
            return check(self.infos())  # under load, a thread's turn comes later than the check takes
        return await self._in_thread(check)

    async def _in_thread(self, check: Check[T]) -> T:
        with turns.wanted():
            here = contextvars.copy_context()  # the id of the call for log lines, and whether its pictures are wanted
            return await asyncio.get_running_loop().run_in_executor(self._threads, here.run, check, self.infos())

    async def take(self, ask: Ask, check: Check[Plan], *, unpacks: bool = True) -> str:
        """The id of the job for what is asked; `check` makes its plan, if it is a new one.

        It waits until the desk is open. Raises what `check` and JobBook.take raise.
        """
        if self._book is None and ask.terms.wait_for_model and self._waiting < MOST_EARLY:
            await self._open()

        async def work() -> Work:
            plan = await self.check(check, ask.caller, unpacks=unpacks)
            _log_new(plan.job)
            return Work(plan)

        return await self.jobs.take(ask, work)

    async def _open(self) -> None:
        self._waiting += 1
        try:
            await self._opened.wait()
        finally:
            self._waiting -= 1

    def expect(self, job_id: str) -> None:
        """Nobody watches a job yet that was just taken."""
        if record := self.jobs.live.get(job_id):
            watching.expect(self.jobs, record)

    async def fork(
        self,
        ask: Ask,
        parent: str,
        image: int,
        step: int | None,
        check: Callable[[bytes, Mapping[str, ModelInfo]], Plan],
    ) -> str:
        """The id of a new job that goes on from a kept step of image number `image` of another one.

        `check` makes its plan of the other one's stored request. Raises JobNotFound, CheckpointGone, and as `take`.
        """

        async def work() -> Work:
            request, kept = await job_pages.kept(self.jobs, parent, image, step)
            plan = await self.check(partial(check, request), ask.caller)
            origin = f"{parent} image {image} step {kept.done}"
            plan = replace(plan, job=replace(plan.job, origin=origin))
            begin = forking.beginning(plan, kept)
            if begin is None:
                raise CheckpointGone(parent, kept.done, None)
            _log_new(plan.job)
            return Work(plan, begin, parent)

        return await self.jobs.take(ask, work)

    async def view(self, job_id: str) -> JobView:
        """How a job stands. Raises JobNotFound."""
        return await job_pages.view(self.jobs, job_id)

    async def page(
        self, count: int, before: tuple[float, str] | None = None, state: JobState | None = None, model: str = ""
    ) -> list[JobView]:
        """How jobs stand, the newest first, from just before (created, id)."""
        return await job_pages.page(self.jobs, count, before, state, model)

    async def lasting(self, job_id: str) -> Sequence[Numbered[Event]]:
        """The lasting events of a job so far. Who asks for them does not count as watching. Raises JobNotFound."""
        return await job_pages.lasting(self.jobs, job_id)

    async def picture(self, job_id: str, index: int) -> Image | Rested | None:
        """The file of one of a job's images; None where there is none yet. Raises JobNotFound."""
        return await job_pages.picture(self.jobs, job_id, index)

    async def plan_again(self, request: bytes, job_id: str) -> Plan:
        """The plan of a request that was stored. Raises what `plan_from` raises."""
        return await self._in_thread(partial(plan_from, stored.unpack(request), job_id=job_id))

    async def attach(
        self,
        job_id: str,
        previews: Previews | None = None,
        deadline: float | None = None,
        after: int = 0,
    ) -> AsyncGenerator[Numbered[Event], None]:
        """The events of the job, as watching.attach gives them; closing the generator may stop the work."""
        began = time.monotonic()
        try:
            async with aclosing(watching.attach(self.jobs, job_id, previews, deadline, after)) as events:
                async for numbered in events:
                    if isinstance(numbered.item, Done):
                        log.info("done in %.2f s", numbered.item.timings["total"])
                    yield numbered
        except (asyncio.CancelledError, GeneratorExit):
            log.info("cancelled after %.2f s", time.monotonic() - began)
            raise


def _log_new(job: Job) -> None:
    height, width = job.size
    log.info("drawing %d of %d x %d with %s, %d steps", len(job.seeds), width, height, job.model, job.steps)
