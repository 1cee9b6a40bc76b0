"""Where what the tests have compiled is kept: folders of this process, for its own models and those of its servers."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from safelight_server.models.device import Device


@cache
def folder(of: str = "") -> Path:
    """For --cache-dir; the one that all share, or that of a file of tests.

    OpenVINO finds a graph in it by its content, and then the weights by their places in the model's file. So what saves
    graphs anew needs a folder of its own: part of such a graph may be as it was, and its weights lie elsewhere.
    """
    made = Path(tempfile.mkdtemp(prefix="safelight-compiled-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def device(precision: str | None = "f32", threads: int | None = None, of: str = "") -> Device:
    """A CPU that compiles no graph twice: a model is loaded in half the time."""
    return Device(precision=precision, threads=threads, cache=folder(of))
