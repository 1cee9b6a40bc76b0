"""What the process does behind its doors: it opens the desk, loads the models, and keeps house."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from pathlib import Path

from .config import Config
from .desk import Desk
from .engine.engine import Engine
from .engine.job_book import JobBook
from .engine.resuming import Resuming
from .job_store.store import Store
from .model_folder.model_config import ModelConfig
from .models import compile_cache, start
from .models.library import Library
from .models.notes import Notes
from .models.registry import Registry
from .models.verified import Verified
from .observer import Observer


def library_of(config: Config, on_change: Callable[[], None]) -> Library:
    """No model is in it yet."""
    registry = Registry(max_edge=config.max_edge, notes=Notes(_within(config, "measured")), on_health=on_change)
    verified = None if config.verify == "never" else Verified(_within(config, "verified"))
    return Library(registry, limit=config.memory_limit, verified=verified, on_change=on_change)


def open_store(config: Config) -> Store:
    """Blocks: a large one is read for a while. Raises LoadError."""
    return Store(config.state_dir, config.store_bytes if config.state_dir else config.store_bytes // 16)


async def work(
    config: Config,
    configs: Mapping[str, ModelConfig],
    opening: asyncio.Task[Store],
    desk: Desk,
    library: Library,
    observer: Observer,
    on_change: Callable[[], None],
) -> None:
    """Until it is cancelled. As soon as the desk is open, jobs come, and wait for their models.

    The store first: what is wrong with it is told before minutes go into models. Raises LoadError.
    """
    store = await asyncio.shield(opening)  # it is closed in any case
    await start.add_all(library, configs, config.devices, config.own_lane)
    book = await _open(config, desk, store, library, observer, on_change)
    on_change()
    if config.cache is not None:
        await asyncio.to_thread(compile_cache.tidy, config.cache)
    await start.load_all(library, configs)
    on_change()
    keeping = [book.keep_clean()]
    if config.idle_unload is not None:
        keeping.append(library.unload_idle(config.idle_unload))
    await asyncio.gather(*keeping)


async def _open(
    config: Config, desk: Desk, store: Store, library: Library, observer: Observer, on_change: Callable[[], None]
) -> JobBook:
    """The book of jobs, with those that a server before this one has left."""
    engine = Engine(
        library,
        slots=config.slots,
        queue=config.queue,
        max_wait=config.max_wait,
        share=math.inf if config.share is None else config.share,
        on_health=on_change,
        observer=observer,
    )
    book = JobBook(engine, store)
    resuming = Resuming(book, desk.plan_again)
    await resuming.set_clock()
    desk.book = book  # from here on, the jobs of before can be planned
    await resuming.resume()
    return book


def _within(config: Config, name: str) -> Path | None:
    """A folder of the cache. What is checked always is not written down."""
    if config.cache is None or (name == "verified" and config.verify == "always"):
        return None
    return config.cache / name
