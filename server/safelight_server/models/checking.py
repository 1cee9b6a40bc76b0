"""Is a model's folder still what was exported, and what the server read of it? Before each time that it is loaded."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path

from safelight_server.errors import LoadError
from safelight_server.model_folder import model_config, seal

from . import surroundings
from .known import Known
from .verified import Verified

log = logging.getLogger(__name__)

FOUND = {True: "files are those that were exported", False: "has no seal; its files are not checked"}


async def check_files(one: Known, verified: Verified) -> None:
    """Raises LoadError where a file of the folder is not the one that was exported.

    It reads all of them, except where that was done before and they are as they were then.
    """
    folder, sealed = one.info.config.folder, one.info.config.manifest.seal
    if await asyncio.to_thread(verified.knows, folder, sealed):
        log.info("model %s: files are as they were when they were checked", one.name)
    else:
        stamps = await asyncio.to_thread(verified.stamps, folder)
        found = await _is_sealed(folder)
        log.info("model %s: %s", one.name, FOUND[found])
        await asyncio.to_thread(verified.note, folder, sealed, stamps)
    one.is_checked = True


async def check_unchanged(one: Known) -> None:
    """Raises LoadError for a folder that was written anew since the server read it."""
    folder = one.info.config.folder
    now = await asyncio.to_thread(lambda: surroundings.identity(model_config.read(folder), one.device))
    if now != one.info.identity:
        raise LoadError(f"{folder}: was changed while the server ran; start the server anew to serve what is there now")


async def _is_sealed(folder: Path) -> bool:
    stopped = threading.Event()

    def on_progress(count: int) -> None:
        if stopped.is_set():  # SIGTERM: the thread must not read gigabytes to its end before the process ends
            raise LoadError(f"{folder}: the check was stopped")

    try:
        return await asyncio.to_thread(seal.check, folder, on_progress)
    finally:
        stopped.set()
