"""Keeps what OpenVINO has compiled, and has it read only what is as it was written: OpenVINO checks nothing.

A folder for each graph: the blobs that OpenVINO writes, and digests.json with the SHA-256 of each. In 38 of 300 blobs,
one flipped bit gave other pictures; all of them were loaded.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from safelight_server.model_folder import json_file

from . import surroundings

log = logging.getLogger(__name__)

DIGESTS = "digests.json"
PATIENCE = 600.0  # seconds for another process that compiles the same graph; after them, it is compiled without a cache
MOST = 2 * 2**30  # bytes of all folders; the ones that were not used for longest are removed

_given_up: set[Path] = set()  # caches in which nothing can be written: the log says it once, not for each graph


@contextmanager
def settings(cache: Path | None, weights: Path, name: str) -> Iterator[dict[str, str]]:
    """What OpenVINO is told of its cache, while this graph on a file of weights is compiled. None: there is none."""
    if cache is None:
        yield {}
        return
    with _opened(_folder(cache, weights, name), cache) as folder:
        # A cache without weights finds those of a graph that was read before only if it is told where they are.
        told = {"CACHE_DIR": str(folder), "CACHE_MODE": "OPTIMIZE_SIZE", "WEIGHTS_PATH": str(weights)}
        yield told if folder else {}


def _folder(cache: Path, weights: Path, name: str) -> Path:
    """Of one graph on one file of weights.

    OpenVINO finds a graph in its cache by what it calculates, and reads its weights then from their places in the file:
    in another file of the same weights they may lie elsewhere.
    """
    text = f"{surroundings.stamp(weights.resolve())} {name}"
    return cache / "compiled" / hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def _opened(folder: Path, cache: Path) -> Iterator[Path | None]:
    """The folder while a graph is compiled, or taken from it, by this process alone. None: there can be none."""
    lock = FileLock(folder / ".lock", timeout=PATIENCE)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        _drop_damaged(folder)
    except (OSError, Timeout) as error:
        lock.release()
        if cache not in _given_up:
            _given_up.add(cache)
            log.warning("what is compiled is not kept for the next start: %s", error)
        yield None
        return
    try:
        yield folder
        _vouch(folder)
    finally:
        lock.release()


def _drop_damaged(folder: Path) -> None:
    """What is not as it was written, or is not known to be, is removed. Raises OSError."""
    told = _told(folder)
    for blob in _blobs(folder):
        if _digest(blob) != told.get(blob.name):
            log.warning("%s is not as it was written, and is compiled anew", blob)
            blob.unlink()


def _vouch(folder: Path) -> None:
    """What is there now is what was written. If that cannot be noted, the next start compiles it anew."""
    with suppress(OSError):
        json_file.write(folder / DIGESTS, {blob.name: _digest(blob) for blob in _blobs(folder)})
        os.utime(folder)


def tidy(cache: Path, most: int = MOST) -> None:
    """Removes what was not used for longest, until there are so many bytes at most. Graphs change, and processors."""
    with suppress(OSError):
        folders = sorted((cache / "compiled").iterdir(), key=lambda folder: folder.stat().st_mtime)
        sizes = {folder: sum(blob.stat().st_size for blob in _blobs(folder)) for folder in folders}
        for folder in folders:
            if sum(sizes.values()) <= most:
                return
            if time.time() - folder.stat().st_mtime > PATIENCE:  # nobody compiles it just now
                shutil.rmtree(folder, ignore_errors=True)
                del sizes[folder]


def _blobs(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.blob"))


def _told(folder: Path) -> dict[str, str]:
    try:
        return json_file.read(folder / DIGESTS)[1]
    except (OSError, ValueError):
        return {}


def _digest(blob: Path) -> str:
    with blob.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
