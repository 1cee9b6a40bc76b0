"""Reads a JSON object from a file that may hold anything at all, or be no file; and writes one, whole or not at all."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MOST = 2**24  # bytes: if somebody put the weights in a JSON file's place, they would not be read into memory


def read(path: Path) -> tuple[bytes, dict[str, Any]]:
    """The bytes of a file, and the JSON object in them. OSError if it cannot be read, ValueError for anything else."""
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


def write(path: Path, value: Mapping[str, Any]) -> None:
    """In a folder that is made if it is not there. Who reads it meanwhile finds the file as it was. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(json.dumps(value) + "\n", encoding="utf-8")
    aside.replace(path)
