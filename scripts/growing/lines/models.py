"""Models: so many whole ones are loaded, and the same four callers take turns at them."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path

from benchmark.folders import DEMO

from growing.point import Work

CALLERS = 8
SAYS = (
    "Each model is a copy of demo-xl with files of its own, so that nothing is shared. Eight callers watch pictures of "
    "128 px and 10 steps, and are spread over the models that there are."
)


def work(count: int) -> Work:
    folders = {f"model-{number}": _copy(number) for number in range(1, count + 1)}
    callers = [f"model-{1 + place % count}" for place in range(CALLERS)]
    return Work(folders, "streams", {"callers": callers, "each": 3, "edge": 128, "steps": 10, "previews": 0})


@cache
def _copies() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="safelight-growth-models-")


def _copy(number: int) -> Path:
    folder = Path(_copies().name) / str(number)
    if not folder.is_dir():
        shutil.copytree(DEMO / "demo-xl", folder)
    return folder
