"""One SQLite file and the one thread that writes and reads it: what is asked of it is done in the order of asking."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from safelight_server.errors import LoadError, StoreFull

from .schema import SCHEMA, UPGRADES, VERSION

log = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

NAME = "jobs.sqlite"
# NORMAL: all survives a killed process; a power cut may lose the last moments, which are drawn again. EXCLUSIVE: one
# server at a time has the file. What is deleted is overwritten.
PRAGMAS = ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL", "secure_delete = ON")


class Database:
    """`folder` None: in memory, and gone with the process."""

    def __init__(self, folder: Path | None) -> None:
        """Raises LoadError for a folder that cannot be used, or that another server uses."""
        self._thread = ThreadPoolExecutor(1, "job store")
        self._asked = self._done = 0  # each is counted by one thread: the caller's, and ours
        self._broken: str | None = None
        self._connection = _in_memory() if folder is None else _open(folder)

    @property
    def waiting(self) -> int:
        """How much is asked of it that is not done yet."""
        return self._asked - self._done

    async def ask(self, work: Work[T]) -> T:
        """What `work` gives, once it is committed. Raises StoreFull where nothing can be written."""
        try:
            return await asyncio.wrap_future(self._submit(work))
        except sqlite3.Error as error:
            raise StoreFull(str(error)) from error

    def post(self, work: Work[Any]) -> None:
        """As `ask`, and nobody waits for it; what goes wrong is logged, once for each cause."""
        self._submit(work).add_done_callback(self._tell)

    def _tell(self, ended: Future[Any]) -> None:
        error = ended.exception()
        if error is not None and self._broken != str(error):
            log.warning("the job store takes nothing: %s; drawing goes on", error)
        self._broken = None if error is None else str(error)

    async def close(self) -> None:
        """Does what is asked of it still, and closes the file."""
        await asyncio.to_thread(self._thread.shutdown)
        self._connection.close()

    def _submit(self, work: Work[T]) -> Future[T]:
        self._asked += 1
        return self._thread.submit(self._run, work)

    def _run(self, work: Work[T]) -> T:
        try:
            with self._connection:  # commits, or takes everything back
                return work(self._connection)
        finally:
            self._done += 1


def _in_memory() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.executescript(SCHEMA)
    return connection


def _open(folder: Path) -> sqlite3.Connection:
    path = folder / NAME
    try:
        with _explained(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite would make it readable for all
            return _connect(path)
    except sqlite3.DatabaseError as error:
        return _anew(path, error)


def look(folder: Path) -> None:
    """Changes nothing. Raises LoadError for a folder whose jobs another server stores, or another version of it."""
    with (
        _explained(folder),
        closing(sqlite3.connect(f"{(folder / NAME).absolute().as_uri()}?mode=ro", 0.5, uri=True)) as connection,
    ):
        _version(connection)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LoadError(f"{folder}: no jobs can be stored here: {error.strerror or error}") from None
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise LoadError(f"{folder}: another server stores its jobs here; name another --state-dir") from None
        raise LoadError(f"{folder / NAME}: cannot be used: {error}") from None


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=0.5, check_same_thread=False)
    try:
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        version = _version(connection)
        for older in range(version or VERSION, VERSION):  # each with its number at once, or not at all
            connection.executescript(f"BEGIN; {UPGRADES[older]}; PRAGMA user_version = {older + 1}; COMMIT")
        with connection:
            connection.executescript(SCHEMA)
            connection.execute(f"PRAGMA user_version = {VERSION}")
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in (0, VERSION, *UPGRADES):
        raise sqlite3.OperationalError(f"it is of another version of Safelight ({version}, not {VERSION})")
    return int(version)


def _anew(path: Path, error: sqlite3.Error) -> sqlite3.Connection:
    """A file that is damaged is put aside, and never used again: what it says may be wrong."""
    aside = path.with_suffix(".damaged")
    for end in ("", "-wal", "-shm"):
        found = path.with_name(path.name + end)
        if found.exists():
            found.replace(aside.with_name(aside.name + end))
    log.error("the job store is damaged (%s): it is now %s, and jobs are stored anew", error, aside)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    return _connect(path)
