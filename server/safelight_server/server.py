"""The process: listens, loads the models, says when it is ready, and leaves in order."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from .desk import Desk
from .engine.engine import Engine
from .errors import LoadError
from .model_folder import model_config, seal
from .model_folder.model_config import ModelConfig
from .models import loader
from .models.device import Device
from .models.registry import Registry
from .rpc.service import NAME, ImageService

log = logging.getLogger(__name__)

MIB = 2**20
LAST_BYTES = 10.0  # seconds for finished pictures to reach slow readers
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING

# Misspelt options are ignored in silence: tests/tcp/test_server.py has a test for each that fails without it.
CHANNEL_OPTIONS = (
    ("grpc.so_reuseport", 0),  # two servers on one port would share it without a word
    ("grpc.max_receive_message_length", 32 * MIB),
    ("grpc.max_concurrent_streams", 32),  # per connection: a flood of resets starves nobody else
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),  # clients may keep alive between two steps
    # A client that froze is noticed, and its job stopped. The timeout goes by this name: keepalive_timeout_ms is
    # for bytes on their way, and leaves a ping its minute.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
)


@dataclass(frozen=True)
class Config:
    folders: Mapping[str, Path]
    listen: str = "127.0.0.1:50051"
    devices: Mapping[str, Device] = field(default_factory=dict)  # by model
    own_lane: Collection[str] = ()  # models with cores of their own, that work beside those on the same device
    slots: int = 16
    queue: int = 32
    max_edge: int = 2048
    grace: float = 30.0
    verify: bool = True


async def serve(config: Config) -> None:
    """Serves until SIGTERM or SIGINT; returns when all is put away. Raises LoadError, or OSError for the address."""
    configs = {name: model_config.read(folder) for name, folder in config.folders.items()}
    desk, registry = Desk(), Registry(max_edge=config.max_edge)
    stop = _stop_signal()
    server = grpc.aio.server(options=CHANNEL_OPTIONS)
    status, service = health.aio.HealthServicer(), ImageService(desk)
    health_pb2_grpc.add_HealthServicer_to_server(status, server)
    server.add_generic_rpc_handlers((service.handlers(),))
    reflection.enable_server_reflection((NAME, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    for name in ("", NAME, *configs):
        await status.set(name, NOT_SERVING)
    port = _bind(server, config.listen)
    await server.start()
    log.info("listening on %s:%d, loading %s", config.listen.rpartition(":")[0], port, ", ".join(configs))
    loading = asyncio.create_task(_load(configs, config, registry))
    await asyncio.wait((loading, stop), return_when=asyncio.FIRST_COMPLETED)
    try:
        if not stop.done():
            loading.result()
            changed = asyncio.Event()
            engine = Engine(registry.models, slots=config.slots, queue=config.queue, on_health=changed.set)
            desk.engine = engine
            await _watch(engine, status, changed, stop)
            log.info("draining: no new jobs, %g s for those that run", config.grace)
            await engine.drain(config.grace)
            await service.finish(LAST_BYTES)
    finally:
        loading.cancel()
        await server.stop(0.5)
        log.info("stopped")


async def _watch(
    engine: Engine, status: health.aio.HealthServicer, changed: asyncio.Event, stop: asyncio.Future[None]
) -> None:
    """Keeps the health in step with the engine until it is time to stop."""
    log.info("ready: serving %s", ", ".join(engine.models))
    while not stop.done():
        changed.clear()
        for name, ready in {"": engine.ready, NAME: engine.ready, **engine.health()}.items():
            await status.set(name, SERVING if ready else NOT_SERVING)
        news = asyncio.create_task(changed.wait())
        await asyncio.wait((news, stop), return_when=asyncio.FIRST_COMPLETED)
        news.cancel()
    await status.enter_graceful_shutdown()  # NOT_SERVING, all of it, from now on


def _bind(server: grpc.aio.Server, address: str) -> int:
    try:
        port: int = server.add_insecure_port(address)
    except RuntimeError:
        port = 0
    if not port:
        raise OSError(f"cannot listen on {address}: in use, or not an address of this machine")
    return port


def _stop_signal() -> asyncio.Future[None]:
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[None] = loop.create_future()

    def on_signal() -> None:
        if not stop.done():
            stop.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    return stop


async def _load(configs: Mapping[str, ModelConfig], config: Config, registry: Registry) -> None:
    """Checks all folders, then loads all models; a bar for people and lines for logs."""
    total = sum(loader.progress_total(model) + config.verify for model in configs.values())
    style = "{desc:32} {bar} {n}/{total}"
    bar = tqdm(total=total, disable=not sys.stderr.isatty(), bar_format=style, leave=False)
    with bar, logging_redirect_tqdm():

        def on_progress(what: str) -> None:
            log.debug("%s", what)
            bar.set_description_str(what)
            bar.update()

        for name, folder in config.folders.items() if config.verify else ():
            on_progress(f"{name}: checking files")
            await _check(name, folder)
        for name, model in configs.items():
            device = config.devices.get(name, Device())
            lane = f"{device.name} of {name}" if name in config.own_lane else device.name
            loaded = await registry.load(name, model, device, lane=lane, on_progress=on_progress)
            log.info("model %s is loaded and warm: %s, %s on %s", name, model.kind, loaded.info.precision, lane)


async def _check(name: str, folder: Path) -> None:
    """Raises LoadError where a file of the folder is not the one that was exported."""
    stopped = threading.Event()

    def on_progress(count: int) -> None:
        if stopped.is_set():  # SIGTERM: the thread must not read gigabytes to its end before the process ends
            raise LoadError(f"{folder}: the check was stopped")

    try:
        sealed = await asyncio.to_thread(seal.check, folder, on_progress)
    finally:
        stopped.set()
    log.info(
        "model %s: %s",
        name,
        "files are those that were exported" if sealed else "has no seal; its files are not checked",
    )
