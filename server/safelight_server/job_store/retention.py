"""What leaves the job store, and in which order: what is over its time, and what makes room."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

ENDED = "ended IS NOT NULL"
# Rows that no job has any use for.
ORPHANS = (
    "DELETE FROM events WHERE job NOT IN (SELECT id FROM jobs)",
    "DELETE FROM checkpoints WHERE job NOT IN (SELECT id FROM jobs)",
)


class NoRoom(sqlite3.OperationalError):
    """What is stored may have no more bytes, and nothing in it has ended."""


def remove(connection: sqlite3.Connection, where: str, values: Sequence[Any]) -> None:
    """Removes jobs with all that is stored of them."""
    if connection.execute(f"DELETE FROM jobs WHERE {where}", values).rowcount:
        for statement in ORPHANS:
            connection.execute(statement)


def make_room(connection: sqlite3.Connection, most: int, more: int) -> None:
    """Until there is room for `more` bytes: the checkpoints of the job that ended first, then that job, then the next.

    Raises NoRoom.
    """
    while size(connection) + more > most:
        oldest = connection.execute(f"SELECT id FROM jobs WHERE {ENDED} ORDER BY ended LIMIT 1").fetchone()
        if oldest is None:
            raise NoRoom(f"it may have {most:,} bytes, and all of them are in use")
        if not connection.execute("DELETE FROM checkpoints WHERE job = ?", oldest).rowcount:
            remove(connection, "id = ?", oldest)


def size(connection: sqlite3.Connection) -> int:
    """Bytes of the file that hold something."""
    count, free, page = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((count - free) * page)
