"""The models: what their folders say, their graphs, their seals, their devices, and the memory that they need."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator

from safelight_server.config import Config
from safelight_server.lanes import free_memory
from safelight_server.model_folder import model_config, seal
from safelight_server.model_folder.model_config import ModelConfig
from safelight_server.models import devices, inspection, surroundings
from safelight_server.models.device import Device
from safelight_server.models.footprint import size

from .finding import Finding, failed, ok, refusal, warning

SAMPLE = 2**24  # bytes that are hashed to learn how fast this machine does it
ROOM = 0.8  # of the memory that the weights may take: pictures need some, too


def models(config: Config) -> Iterator[Finding]:
    for name, folder in config.folders.items():
        subject = f"model {name}"
        with refusal(subject) as refused:
            found = model_config.read(folder)
            inspection.inspect(found)
            total = sum(inspection.weights(found).values())
            edge = f"{found.native_edge}x{found.native_edge}"
            yield ok(subject, f"{folder}: {found.kind}, {edge}, {found.steps} steps, {size(total)} of weights")
        if refused.finding:
            yield refused.finding


def seals(config: Config, hashed: bool) -> Iterator[Finding]:
    """Reads every byte of the models if `hashed`; else says how long that would take."""
    for name, folder in config.folders.items():
        subject = f"seal of {name}"
        with refusal(subject) as refused:
            yield _seal(subject, config, name, hashed)
        if refused.finding and folder.is_dir():  # what is not there was told above
            yield refused.finding


def _seal(subject: str, config: Config, name: str, hashed: bool) -> Finding:
    folder = config.folders[name]
    total = seal.size(folder)
    if not total:
        return ok(subject, "there is none: whether its files have changed cannot be told")
    if not hashed:
        seconds = total / _bytes_a_second()
        when = "serve does not, by --verify never" if config.verify == "never" else "serve does it as it first starts"
        return ok(subject, f"{size(total)} not read here: --seals does, in {math.ceil(seconds)} s or more; {when}")
    began = time.monotonic()
    seal.check(folder)
    return ok(subject, f"{size(total)}, all as exported ({time.monotonic() - began:.0f} s)")


def _bytes_a_second() -> float:
    began = time.perf_counter()
    hashlib.sha256(bytes(SAMPLE)).digest()
    return SAMPLE / (time.perf_counter() - began)


def root(config: Config) -> Iterator[Finding]:
    if config.models_root is None:
        return
    subject = f"--models-root {config.models_root}"
    if config.models_root.is_dir():
        yield ok(subject, "models below it may be loaded while the server runs")
    else:
        yield failed(subject, "is no folder: make it, or name another")


def on_devices(config: Config) -> Iterator[Finding]:
    for name in dict.fromkeys(device.name for device in config.devices.values()):
        with refusal(f"--device {name}") as refused:
            devices.check([name])
            yield ok(f"--device {name}", surroundings.processor(name))
        if refused.finding:
            yield refused.finding


def in_memory(config: Config) -> Iterator[Finding]:
    """Only those of a CPU count: other devices have their own."""
    needed = sum(_weights(config).values())
    needed = min(needed, config.memory_limit or needed)  # under a limit, models take turns
    if not needed:
        return
    free = free_memory.available()
    text = f"{size(needed)} of weights on the CPU, {size(free)} of memory free"
    if needed > free:
        yield failed("memory", f"{text}: serve fewer models, or INT8 ones (export --int8), or free some")
    elif needed > ROOM * free:
        yield warning("memory", f"{text}: little is left for pictures; serve fewer models, or INT8 ones")
    else:
        yield ok("memory", text)


def _weights(config: Config) -> dict[object, int]:
    """By lane and file: what models share on a lane is there once."""
    found: dict[object, int] = {}
    for name, model in _readable(config).items():
        device = config.devices.get(name, Device())
        if device.name.startswith("CPU"):
            lane = name if name in config.own_lane else ""
            found |= {(lane, file): count for file, count in inspection.weights(model).items()}
    return found


def _readable(config: Config) -> dict[str, ModelConfig]:
    found = {}
    for name, folder in config.folders.items():
        with refusal(""):
            found[name] = model_config.read(folder)
    return found
