"""Drawings for programs that know no jobs: they ask in one request, and may ask again for the one they asked for."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any, NamedTuple

from google.protobuf.duration_pb2 import Duration
from safelight.v1 import images_pb2 as pb
from starlette.requests import Request

from safelight_server.contract import stored
from safelight_server.contract.requests import plan_from, takes_long
from safelight_server.desk import Desk
from safelight_server.engine.job_record import JobView
from safelight_server.errors import JobError
from safelight_server.events import Done, Event, Image, Started
from safelight_server.jobs import JobState, Previews
from safelight_server.messages.asking import ask_for

from .api import call_of, caller_of
from .repeats import GRACE, Asked, Repeats, attempt_of, identity_of, request_id_of


class Drawn(NamedTuple):
    """A whole drawing."""

    job_id: str
    started: Started
    images: list[Image]


class DrawRequest:
    """One request for a drawing, which may be a repeat: `take` it, then watch its `events` or wait for all of it."""

    def __init__(self, desk: Desk, repeats: Repeats, asked: Any, request: Request, *parts: bytes) -> None:
        self._desk, self._repeats = desk, repeats
        self._request, self._message = request, asked
        caller, key = caller_of(request), request.headers.get("idempotency-key", "")
        self._identity = identity_of(caller, request.url.path.encode(), key.encode(), stored.digest(asked), *parts)
        if key:
            self._asked = Asked(request_id_of(caller, key), 0)
        else:
            attempt = attempt_of(request.headers.get("x-stainless-retry-count"))
            self._asked = repeats.find(self._identity, attempt)
        asked.request_id, asked.on_disconnect = self._asked.request_id, pb.ON_DISCONNECT_GRACE
        asked.grace.CopyFrom(Duration(seconds=int(GRACE)))

    async def take(self) -> str:
        """The id of the job. Raises what Desk.take does."""
        with self._repeats.waiting(self._identity, self._asked):
            job_id = await self._take()
            found = await self._desk.jobs.find(job_id)
            if isinstance(found, JobView) and found.state is JobState.CANCELLED:  # nobody came back in time: draw anew
                await self._desk.jobs.delete(job_id)
                job_id = await self._take()
        self._desk.expect(job_id)
        return job_id

    async def events(self, job_id: str, previews: Previews | None = None) -> AsyncGenerator[Event, None]:
        """What happens, Done last."""
        with self._repeats.waiting(self._identity, self._asked):
            async with aclosing(self._desk.attach(job_id, previews)) as events:
                async for _, event in events:
                    yield event
                    if isinstance(event, Done):
                        self._asked.answered = True

    async def whole(self, job_id: str) -> Drawn:
        started: Started | None = None
        images = []
        async with aclosing(self.events(job_id)) as events:
            async for event in events:
                if isinstance(event, Started):
                    started = event
                elif isinstance(event, Image):
                    images.append(event)
        if started is None or not images:
            raise JobError("the job ended without a picture")
        return Drawn(job_id, started, images)

    async def _take(self) -> str:
        call, asked = call_of(self._request), self._message
        check = partial(plan_from, asked, job_id=call.id)
        return await self._desk.take(ask_for(asked, call), check, unpacks=takes_long(asked))
