"""What checkpoints cost on steps of 0.4 s and more: the writer's time over that of the steps, and runs in pairs."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import NamedTuple

from abusing.finding import Effort, Finding, at_least, at_most, percentile
from safelight_server.diffusion.plan import make_plan
from safelight_server.engine import watching
from safelight_server.engine.engine import Engine
from safelight_server.engine.job_book import JobBook, Work
from safelight_server.engine.job_record import Ask
from safelight_server.events import Progress
from safelight_server.job_store.store import Store
from safelight_server.jobs import Job, OnDisconnect, Terms
from support.engines import CONFIGS, XL, load

SIZE = (512, 512)
STEPS = 12


class Run(NamedTuple):
    """Seconds: of the job's steps, of the store's thread meanwhile, and the job's whole; and its checkpoints."""

    steps: list[float]
    store: float
    whole: float
    checkpoints: int


def measure(effort: Effort) -> Iterator[Finding]:
    with tempfile.TemporaryDirectory(prefix="safelight-jobs-") as folder:
        pairs = asyncio.run(_pairs(Path(folder), effort.pick(8, 1)))
    kept = [run for run, _ in pairs]
    steps = [step for run in kept for step in run.steps]
    yield at_least("a step, median", percentile(steps, 0.5), 0.4, " s", control=True)
    yield at_least(f"checkpoints of {len(steps)} steps", sum(run.checkpoints for run in kept), 1, control=True)
    share = 100 * sum(run.store for run in kept) / sum(steps)
    yield at_most("all that the store's thread did, over the steps", share, 0.2, " %")
    ratios = [percentile(run.steps, 0.5) / percentile(plain.steps, 0.5) for run, plain in pairs]
    low, high = min(ratios), max(ratios)
    noise = percentile([abs(ratio - percentile(ratios, 0.5)) for ratio in ratios], 0.5)
    name = f"steps with checkpoints over steps without, {len(ratios)} pairs in turns ({low:.3f} to {high:.3f}): median"
    yield Finding(name, f"{percentile(ratios, 0.5):.4f}, noise {noise:.4f}", "told: the noise is above 0.002", True)


async def _pairs(folder: Path, count: int) -> list[tuple[Run, Run]]:
    """The same job with checkpoints and without, in turns."""
    store = Store(folder, 2**30)
    engine = Engine({"demo-xl": load("demo-xl")}, slots=1, queue=1)
    book, seeds = JobBook(engine, store), random.Random(1)
    keep, leave = Terms(on_disconnect=OnDisconnect.KEEP, retain=3600), Terms()
    await _run(book, store, leave, 0)
    pairs = []
    for place in range(count):
        seed = seeds.randrange(10**6)
        if place % 2:
            plain = await _run(book, store, leave, seed)
            pairs.append((await _run(book, store, keep, seed), plain))
        else:
            pairs.append((await _run(book, store, keep, seed), await _run(book, store, leave, seed)))
    await store.close()
    return pairs


async def _run(book: JobBook, store: Store, terms: Terms, seed: int) -> Run:
    job = Job(**{**vars(XL), "id": f"{seed}-{terms.lasts}", "size": SIZE, "steps": STEPS, "seeds": (seed,)})

    async def work() -> Work:
        return Work(make_plan(job, CONFIGS))

    steps, before, began = [], await _store_seconds(store), time.monotonic()
    job_id = await book.take(Ask(terms), work)
    async with aclosing(watching.attach(book, job_id)) as events:
        async for _, event in events:
            if isinstance(event, Progress):
                steps.append(event.seconds)
    whole, spent = time.monotonic() - began, await _store_seconds(store) - before
    return Run(steps, spent, whole, len(await store.kept_steps(job_id)))


async def _store_seconds(store: Store) -> float:
    """That its thread has worked so far: by its own clock, so that what comes in between does not count."""
    return await store._database.ask(lambda _: time.thread_time())
