"""Engines in the test's own process, on the demo models: jobs, plans, what their lanes ran, and what they drew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any

from safelight_server import demo
from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.diffusion.plan import Plan, make_plan
from safelight_server.engine import watching
from safelight_server.engine.engine import Engine
from safelight_server.engine.job_book import JobBook, Work
from safelight_server.engine.job_record import PLAIN, Ask
from safelight_server.events import Event, Image
from safelight_server.job_store.store import Store
from safelight_server.jobs import Job, Previews, Prompts, Scheduler, Terms
from safelight_server.lanes.lane import Lane
from safelight_server.model_folder import model_config
from safelight_server.models import loader
from safelight_server.models.device import Device
from safelight_server.observer import SILENT, Observer

from support import compiled

STORE = Store(None, 2**28)
CONFIGS = {name: model_config.read(folder) for name, folder in demo.FOLDERS.items()}
PROMPTS = Prompts("a red apple on a teal background", "a red apple on a teal background")
XL = Job(
    id="xl",
    model="demo-xl",
    prompts=PROMPTS,
    size=(128, 128),
    steps=6,
    guidance=3.0,
    rescale=0.0,
    seeds=(7,),
    scheduler=Scheduler("euler"),
)
VEGA = Job(
    id="vega",
    model="demo-vega",
    prompts=PROMPTS,
    size=(128, 128),
    steps=4,
    guidance=1.0,
    rescale=0.0,
    seeds=(7,),
    scheduler=Scheduler("lcm"),
)


class Inferences(Observer):
    """Notes (part, rows) of every inference that ended: of "demo-xl/unet", the part is "unet"."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, int]] = []

    def inference_ended(self, network: str, shape: Sequence[int], seconds: float) -> None:
        self.ended.append((network.partition("/")[2], shape[0]))

    def parts(self) -> list[str]:
        return [part for part, _ in self.ended]


def load(name: str, lane: Lane | None = None, device: Device | None = None, observer: Observer = SILENT) -> Pipeline:
    """A demo model, in f32 on a lane of its own, if nothing else is said; it is not warmed up."""
    lane = lane or Lane("CPU", observer)
    device = device or compiled.device()
    return loader.load(name, CONFIGS[name], lane, device, lambda what: None, max_edge=512)


def plan(job: Job) -> Plan:
    return make_plan(job, CONFIGS)


async def events_of(
    engine: Engine,
    plan: Plan,
    previews: Previews | None = None,
    deadline: float | None = None,
    caller: object = None,
    terms: Terms = PLAIN,
) -> AsyncGenerator[Event, None]:
    """The events of a new job, as a call hears them that asks for it and waits."""

    async def work() -> Work:
        return Work(plan)

    book = book_of(engine)
    job_id = await book.take(Ask(terms, caller=caller, deadline=deadline, priority=plan.job.priority), work)
    async with aclosing(watching.attach(book, job_id, previews, deadline)) as events:
        async for _, event in events:
            yield event


def book_of(engine: Engine) -> JobBook:
    """One for each engine; what they store lies in memory."""
    # Kept by the engine: from a table of books by engine neither would ever go, for a book holds its engine.
    kept = vars(engine)
    if "book" not in kept:
        kept["book"] = JobBook(engine, STORE)
    book: JobBook = kept["book"]
    return book


async def draw(engine: Engine, job: Job, deadline: float | None = None) -> list[bytes]:
    """The files of the job's images."""
    async with aclosing(events_of(engine, plan(job), deadline=deadline)) as events:
        return [event.data async for event in events if isinstance(event, Image)]


def run(test: Callable[[], Coroutine[Any, Any, None]], patience: float = 120) -> None:
    asyncio.run(asyncio.wait_for(test(), patience))
