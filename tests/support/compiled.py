"""Where what the tests have compiled is kept: a folder of this process, for its own models and those of its servers."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from safelight_server.models.device import Device


@cache
def folder() -> Path:
    """For --cache-dir. OpenVINO finds a graph in it by its content, so models that were changed are compiled."""
    made = Path(tempfile.mkdtemp(prefix="safelight-compiled-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def device(precision: str | None = "f32", threads: int | None = None) -> Device:
    """A CPU that compiles no graph twice: a model is loaded in half the time."""
    return Device(precision=precision, threads=threads, cache=folder())
