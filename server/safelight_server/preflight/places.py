"""Where the server listens and writes: ports, a unix socket, the job store, the cache, and the disk below them."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from safelight_server.config import Config
from safelight_server.http import listener
from safelight_server.job_store import database
from safelight_server.models.footprint import size
from safelight_server.rpc import listening

from .finding import Finding, failed, ok, refusal, warning

LEAST = 2**26  # bytes on the disk below which the store is of no use


def addresses(config: Config) -> Iterator[Finding]:
    for option, address in config.addresses.items():
        subject = f"{option} {address.target}"
        if address.target.startswith("unix:"):
            yield _socket(subject, Path(address.target.removeprefix("unix:")))
            continue
        with refusal(subject) as refused:
            host, _, port = address.target.rpartition(":")
            listener.bind(host, int(port)).close()
            yield ok(subject, "is free")
        if refused.finding:
            yield refused.finding._replace(text=f"{refused.finding.text}; stop what listens there, or name another")


def _socket(subject: str, path: Path) -> Finding:
    if listening.answers(str(path)):
        return failed(subject, "another server listens there; stop it, or name another path")
    if not path.parent.is_dir():
        return failed(subject, f"there is no folder {path.parent}: make it")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return failed(subject, f"nothing can be made in {path.parent}: run as its owner, or name another path")
    return ok(subject, "can be made, for its owner alone")


def store(config: Config) -> Iterator[Finding]:
    folder = config.state_dir
    if folder is None:
        yield ok("jobs", "are stored in memory, and end with the process")
        return
    subject = f"--state-dir {folder}"
    if writable := _unwritable(subject, folder):
        yield writable
        return
    with refusal(subject) as refused:
        yield _stored(subject, folder)
    if refused.finding:
        yield refused.finding
    yield _disk(subject, folder, config.store_bytes)


def _stored(subject: str, folder: Path) -> Finding:
    file = folder / database.NAME
    if not file.exists():
        return ok(subject, "can be written, and holds no jobs yet")
    try:
        database.look(folder)
    except sqlite3.DatabaseError as error:
        return warning(subject, f"{file} is damaged ({error}): serve puts it aside, and stores jobs anew")
    return ok(subject, f"can be written, and holds {size(file.stat().st_size)} of jobs")


def _disk(subject: str, folder: Path, limit: int) -> Finding:
    free = shutil.disk_usage(_nearest(folder)).free
    text = f"{size(free)} free on its disk, and jobs may take {size(limit)}"
    if free < LEAST:
        return failed(subject, f"{text}: make room, name another folder, or say --ephemeral")
    return warning(subject, f"{text}: make room, or lower --store-limit") if free < limit else ok(subject, text)


def cache(config: Config) -> Iterator[Finding]:
    if (folder := config.cache) is None:
        return
    subject = f"--cache-dir {folder}"
    if found := _unwritable(subject, folder):
        yield warning(subject, f"{found.text}; until then, each start compiles and measures anew")
    else:
        yield ok(subject, f"can be written; {size(shutil.disk_usage(_nearest(folder)).free)} free")


def _unwritable(subject: str, folder: Path) -> Finding | None:
    nearest = _nearest(folder)
    if not nearest.is_dir():
        return failed(subject, f"{nearest} is a file: name a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        return failed(subject, f"nothing can be written in {nearest}: run as its owner, or name another folder")
    return None


def _nearest(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that is there: the rest would be made."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
