"""The process: listens, loads the models, says when it is ready, and leaves in order."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from . import doors as doors_of
from . import signals
from .access import exposure
from .access.tls import Tls
from .access.tokens import Tokens
from .config import Config
from .desk import Desk
from .engine.engine import Engine
from .errors import LoadError
from .model_folder import model_config
from .models.admin import Admin
from .observer import SILENT
from .rpc import health, listening, peer_limits, reflection
from .rpc.calls import Calls
from .rpc.guard import Guard
from .rpc.health import Health
from .rpc.job_service import NAME as JOBS
from .rpc.job_service import JobService
from .rpc.model_service import NAME as MODELS
from .rpc.model_service import ModelService
from .rpc.operations import NAME as OPERATIONS
from .rpc.operations import Operations
from .rpc.service import NAME, ImageService
from .work import library_of, open_store, work

if TYPE_CHECKING:
    from .http.door import Door

log = logging.getLogger(__name__)

LAST_BYTES = 1.0, 10.0  # seconds for finished pictures to reach slow readers: the least, and the most within the grace
LAST_SPANS = 2.0  # seconds for traces to reach their collector
MORE_THAN_GRACE = 7.0  # seconds that leaving may take beside the grace
LAST_THREADS = 2.0  # seconds for the threads to end, once all else is put away


async def serve(config: Config) -> None:
    """Serves until SIGTERM or SIGINT; returns when all is put away. Raises LoadError, or OSError for the address.

    It is the process's: it takes its signals, and ends it where a library does not let go of it in time.
    """
    tls, tokens = _access(config)
    configs = {name: model_config.read(folder) for name, folder in config.folders.items()}
    changed = asyncio.Event()
    library = library_of(config, changed.set)
    desk = Desk(Admin(library, config.models_root, config.new_device))
    traces = doors_of.sending() if config.traces else None
    doors, observer = doors_of.http(desk, config, tls, tokens, traces.observer if traces else SILENT)
    library.observe(observer)
    stop = signals.first_signal(lambda: _end_within(config.grace + MORE_THAN_GRACE, code=1))
    server = grpc.aio.server(options=peer_limits.options(), interceptors=[Guard(tokens, observer)] if tokens else [])
    status, calls = Health(), Calls(observer)
    services = {
        NAME: ImageService(desk, calls).handlers(),
        JOBS: JobService(desk, calls).handlers(),
        OPERATIONS: Operations(desk, calls).handlers(),
        MODELS: ModelService(desk, calls).handlers(),
    }
    status.set(dict.fromkeys(("", *services, *configs), False))
    names = (*services, health.NAME)
    server.add_generic_rpc_handlers((*services.values(), status.handlers(), reflection.handlers(names)))
    address = listening.bind(server, config.listen, tls)
    await server.start()
    log.info("listening on %s, loading %s", address, ", ".join(configs))
    log.info(_where_jobs_are(config.state_dir))
    await doors_of.open_all(doors, server)
    opening = asyncio.create_task(asyncio.to_thread(open_store, config))
    working = [
        asyncio.create_task(work(config, configs, opening, desk, library, observer, changed.set)),
        asyncio.create_task(_watch(desk, status, tuple(services), changed)),
    ]
    try:
        await asyncio.wait((*working, stop), return_when=asyncio.FIRST_COMPLETED)
        if not stop.done():
            await asyncio.gather(*working)  # raises what ended one of them
        if desk.book is not None:
            status.leave()
            await _drain(desk.book.engine, calls, tuple(doors.values()), config.grace)
    finally:
        for task in working:
            task.cancel()
        status.close()
        for door in doors.values():
            await door.close(LAST_BYTES[0])
        await server.stop(0.5)
        await _let_others_end(LAST_BYTES[0])
        with suppress(LoadError):  # that was told
            await (await opening).close()
        if traces is not None:
            await traces.close(LAST_SPANS)
        log.info("stopped")
        if stop.done():
            _end_within(LAST_THREADS, code=0)


def _where_jobs_are(folder: Path | None) -> str:
    if folder is None:
        return "jobs are stored in memory: they end with this process"
    return f"jobs that last are stored in {folder}, with their prompts and pictures (--ephemeral: in memory alone)"


async def _watch(desk: Desk, status: Health, services: Sequence[str], changed: asyncio.Event) -> None:
    """Keeps the health in step with the engine until it is cancelled."""
    told: set[str] = set()
    was_loading = True
    while True:
        await changed.wait()
        changed.clear()
        if desk.book is None:
            continue
        engine, loading = desk.book.engine, desk.book.engine.library.is_loading
        if was_loading and not loading:
            log.info("ready: serving %s", ", ".join(engine.infos))
        was_loading = loading
        # A model that is to be loaded at the start would keep a request waiting; one that is loaded does not.
        health = {name: well and (name in engine.models or not loading) for name, well in engine.health().items()}
        status.drop(told - health.keys())
        told = set(health)
        status.set({**dict.fromkeys(("", *services), engine.ready), **health})


def _access(config: Config) -> tuple[Tls | None, Tokens | None]:
    """Who may call, and how it is kept from others. Raises LoadError for what would be open to everybody."""
    if not config.insecure:
        for option, address in config.addresses.items():
            exposure.check(option, address.target, tls=config.tls is not None, tokens=config.tokens is not None)
    return (Tls(config.tls) if config.tls else None), (Tokens(config.tokens) if config.tokens else None)


async def _drain(engine: Engine, calls: Calls, doors: Sequence[Door], grace: float) -> None:
    log.info("draining: no new jobs, %g s for those that run", grace)
    end = time.monotonic() + grace
    await engine.drain(grace)
    least, most = LAST_BYTES
    patience = max(least, min(most, end - time.monotonic()))
    await asyncio.gather(calls.finish(patience), *(door.close(patience) for door in doors))


async def _let_others_end(patience: float) -> None:
    """gRPC's stop() returns before the handlers that it cancels have ended; cut off later, they log tracebacks."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others, timeout=patience)


def _end_within(seconds: float, code: int) -> None:
    """Ends the process if it still runs then. A thread that compiles, or whose inference hangs, cannot be stopped."""

    def end() -> None:
        log.warning("some work did not stop; the process ends without waiting for it")
        logging.shutdown()
        os._exit(code)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
