"""The job store: jobs, the events that last, and the checkpoints that drawings go on from; bounded by bytes and age."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from safelight_server.events import Event
from safelight_server.jobs import JobState

from . import checkpoints, stored_events
from .checkpoints import Checkpoint
from .database import Database
from .retention import make_room, remove

COLUMNS = (
    "id, owner, reserved, request_id, digest, model, state, created, ended, expires, record"  # without the request
)
LEARN = 0.2  # of each new measurement, in what a checkpoint takes
UNFINISHED = tuple(state.value for state in JobState if not state.final)


class StoredJob(NamedTuple):
    """One row. `record` is what the engine wants to know again of it, as JSON; `owner` the name of whoever made it."""

    id: str
    owner: str
    reserved: int  # numbers of events up to this one may have been told: none of them is ever given again
    request_id: str
    digest: bytes
    model: str
    state: JobState
    created: float
    ended: float | None
    expires: float | None
    record: Mapping[str, Any]

    def row(self) -> tuple[Any, ...]:
        return tuple(self._replace(state=self.state.value, record=json.dumps(self.record)))  # type: ignore[arg-type]


def _job(row: Sequence[Any]) -> StoredJob:
    found = StoredJob(*row)
    return found._replace(state=JobState(found.state), record=json.loads(row[-1]))


class Store:
    """`folder` None: in memory. `most_bytes`: what is stored may have so many; the oldest that has ended goes first.

    Methods that wait raise StoreFull. Those that do not are done later, in order; what fails then is logged.
    """

    def __init__(self, folder: Path | None, most_bytes: int) -> None:
        self._database, self._most_bytes = Database(folder), most_bytes
        self.checkpoint_seconds = 0.0  # that one takes lately; 0: none was written yet

    @property
    def is_behind(self) -> bool:
        """Whether more is asked of it than it has done: what can wait is better left out."""
        return self._database.waiting > 4

    # ---- jobs ----

    async def add(self, job: StoredJob, pack: Callable[[], bytes]) -> None:
        """Stores a job and what was asked for, uploads and all, which `pack` gives; and makes room for it."""

        def work(connection: sqlite3.Connection) -> None:
            request = pack()
            make_room(connection, self._most_bytes, len(request))
            row = (*job.row(), request)
            connection.execute(f"INSERT INTO jobs ({COLUMNS}, request) VALUES ({','.join('?' * len(row))})", row)

        await self._database.ask(work)

    def move(
        self,
        job_id: str,
        state: JobState,
        record: Mapping[str, Any],
        ended: float | None = None,
        expires: float | None = None,
    ) -> None:
        """A job is now in another state."""
        values = (state.value, json.dumps(record), ended, expires, job_id)
        self._database.post(
            lambda connection: connection.execute(
                "UPDATE jobs SET state = ?, record = ?, ended = ?, expires = ? WHERE id = ?", values
            )
        )

    async def get(self, job_id: str) -> StoredJob | None:
        return await self._one("id = ?", (job_id,))

    async def request(self, job_id: str) -> bytes:
        """What was asked for; it may be as large as its uploads. Empty for a job that is not there."""
        query = "SELECT request FROM jobs WHERE id = ?"
        row = await self._database.ask(lambda connection: connection.execute(query, (job_id,)).fetchone())
        return bytes(row[0]) if row else b""

    async def by_request(self, owner: str, request_id: str) -> StoredJob | None:
        return await self._one("request_id = ? AND owner = ?", (request_id, owner))

    async def page(
        self, count: int, before: tuple[float, str] | None, state: JobState | None, model: str, owner: str | None = None
    ) -> list[StoredJob]:
        """The newest first, from just before (created, id); of one owner, or of all."""
        created, job_id = before or (float("inf"), "")
        rows = await self._database.ask(
            lambda connection: connection.execute(
                f"SELECT {COLUMNS} FROM jobs WHERE (created < ? OR (created = ? AND id < ?))"
                " AND (? IS NULL OR state = ?) AND (? = '' OR model = ?) AND (? IS NULL OR owner = ?)"
                " ORDER BY created DESC, id DESC LIMIT ?",
                (created, created, job_id, *2 * (state and state.value,), model, model, owner, owner, count),
            ).fetchall()
        )
        return [_job(row) for row in rows]

    async def unfinished(self) -> list[StoredJob]:
        """The jobs that a server before this one has left, the oldest first."""
        rows = await self._database.ask(
            lambda connection: connection.execute(
                f"SELECT {COLUMNS} FROM jobs WHERE state IN (?, ?) ORDER BY created", UNFINISHED
            ).fetchall()
        )
        return [_job(row) for row in rows]

    async def latest(self) -> float:
        """The latest time that is stored, in seconds since 1970; 0: nothing is."""
        query = "SELECT MAX(MAX(created), IFNULL(MAX(ended), 0)) FROM jobs"
        row = await self._database.ask(lambda connection: connection.execute(query).fetchone())
        return float(row[0] or 0)

    async def delete(self, job_id: str) -> None:
        """Removes a job with all that is stored of it. It is not readable in the file afterwards."""

        def work(connection: sqlite3.Connection) -> None:
            remove(connection, "id = ?", (job_id,))

        await self._database.ask(work)
        await self._database.ask(_overwrite_log)

    async def expire(self, now: float) -> None:
        """Removes the jobs whose time is over."""
        await self._database.ask(lambda connection: remove(connection, "expires <= ?", (now,)))

    async def _one(self, where: str, values: Sequence[str]) -> StoredJob | None:
        query = f"SELECT {COLUMNS} FROM jobs WHERE {where}"
        row = await self._database.ask(lambda connection: connection.execute(query, values).fetchone())
        return None if row is None else _job(row)

    # ---- events ----

    def reserve(self, job_id: str, upto: int) -> None:
        """Numbers of events up to this one may be told from now on."""
        self._database.post(
            lambda connection: connection.execute("UPDATE jobs SET reserved = ? WHERE id = ?", (upto, job_id))
        )

    def put_event(self, job_id: str, sequence: int, event: Event) -> None:
        def work(connection: sqlite3.Connection) -> None:
            row = stored_events.to_row(event)
            make_room(connection, self._most_bytes, len(row[2]))
            connection.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?)", (job_id, sequence, *row))

        self._database.post(work)

    async def events(self, job_id: str, after: int = 0) -> list[tuple[int, Event]]:
        """The lasting events after a number, in order."""
        rows = await self._database.ask(
            lambda connection: connection.execute(
                "SELECT sequence, kind, body, data FROM events WHERE job = ? AND sequence > ? ORDER BY sequence",
                (job_id, after),
            ).fetchall()
        )
        return [(sequence, stored_events.from_row(*row)) for sequence, *row in rows]

    async def picture(self, job_id: str, index: int) -> Event | None:
        """The event with the file of an image, finished or resting; the last one, if there are several."""
        row = await self._database.ask(
            lambda connection: connection.execute(
                "SELECT kind, body, data FROM events WHERE job = ? AND kind IN ('Image', 'Rested')"
                " AND json_extract(body, '$.index') = ? ORDER BY sequence DESC LIMIT 1",
                (job_id, index),
            ).fetchone()
        )
        return stored_events.from_row(*row) if row else None

    # ---- checkpoints ----

    def put_checkpoint(self, job_id: str, checkpoint: Checkpoint, hangs_on: str) -> None:
        def work(connection: sqlite3.Connection) -> None:
            began = time.thread_time()
            data = checkpoint.to_bytes()
            make_room(connection, self._most_bytes, len(data))
            row = (job_id, checkpoint.image, checkpoint.done, hangs_on, checkpoints.digest(data), data)
            connection.execute("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?, ?, ?)", row)
            connection.commit()  # which is a part of what it takes
            took = time.thread_time() - began
            self.checkpoint_seconds += (took - self.checkpoint_seconds) * (LEARN if self.checkpoint_seconds else 1)

        self._database.post(work)

    async def kept_steps(self, job_id: str) -> list[tuple[int, int]]:
        """(image, steps done) of each checkpoint, in order."""
        return await self._database.ask(
            lambda connection: connection.execute(
                "SELECT image, step FROM checkpoints WHERE job = ? ORDER BY image, step", (job_id,)
            ).fetchall()
        )

    async def checkpoint(self, job_id: str, image: int, done: int) -> tuple[Checkpoint, str] | None:
        """A checkpoint and what it hangs on; None where there is none, or a damaged one."""
        row = await self._database.ask(
            lambda connection: connection.execute(
                "SELECT hangs_on, digest, state FROM checkpoints WHERE job = ? AND image = ? AND step = ?",
                (job_id, image, done),
            ).fetchone()
        )
        if row is None or checkpoints.digest(row[2]) != row[1]:
            return None
        return Checkpoint.from_bytes(image, done, row[2]), row[0]

    async def close(self) -> None:
        await self._database.close()


def _overwrite_log(connection: sqlite3.Connection) -> None:
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
