"""Reads a JSON object from a file that may hold anything at all, or be no file."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

MOST = 2**24  # bytes; the weights, put in its place, are not read into memory


def read(path: Path) -> tuple[bytes, dict[str, Any]]:
    """The very bytes, and what they say. OSError where it cannot be read, ValueError where it says no JSON object."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("it is not a regular file")  # a named pipe would keep whoever opens it waiting
    with path.open("rb") as file:
        raw = file.read(MOST + 1)
    if len(raw) > MOST:
        raise ValueError(f"it must have at most {MOST} bytes, not {path.stat().st_size}")
    try:
        value = json.loads(raw.decode("utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError(f"it must hold a JSON object, not {type(value).__name__}")
    return raw, value
