"""The models of a server that starts: each folder is checked, then each is loaded; a bar for people, lines for logs."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Collection, Mapping
from pathlib import Path

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from safelight_server.errors import LoadError
from safelight_server.model_folder import seal
from safelight_server.model_folder.model_config import ModelConfig

from . import loader
from .device import Device
from .registry import Registry

log = logging.getLogger(__name__)


async def load_all(
    registry: Registry,
    configs: Mapping[str, ModelConfig],
    devices: Mapping[str, Device],
    own_lane: Collection[str],
    *,
    verify: bool,
) -> None:
    """Checks all folders if `verify`, then loads all models, by name; those in `own_lane` work beside the others.

    A model that is not in `devices` goes to the CPU. Raises LoadError for the first that cannot be served.
    """
    total = sum(loader.progress_total(config) + verify for config in configs.values())
    style = "{desc:32} {bar} {n}/{total}"
    bar = tqdm(total=total, disable=not sys.stderr.isatty(), bar_format=style, leave=False)
    with bar, logging_redirect_tqdm():

        def on_progress(what: str) -> None:
            log.debug("%s", what)
            bar.set_description_str(what)
            bar.update()

        for name, config in configs.items() if verify else ():
            on_progress(f"{name}: checking files")
            await _check(name, config.folder)
        for name, config in configs.items():
            device = devices.get(name, Device())
            lane = f"{device.name} of {name}" if name in own_lane else device.name
            loaded = await registry.load(name, config, device, lane=lane, on_progress=on_progress)
            log.info("model %s is loaded and warm: %s, %s on %s", name, config.kind, loaded.info.precision, lane)


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
