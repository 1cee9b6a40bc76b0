"""The page's own interface: the calls of JobService as JSON (ProtoJSON) over plain HTTP."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from google.protobuf.json_format import MessageToDict, MessageToJson, Parse, ParseDict, ParseError
from google.protobuf.message import Message
from safelight.v1 import jobs_pb2 as pb
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from safelight_server.callers import calling
from safelight_server.contract.requests import previews_of
from safelight_server.desk import Desk
from safelight_server.engine.event_log import Numbered
from safelight_server.errors import JobError, JobNotFound, SequenceAhead
from safelight_server.events import Event, Image
from safelight_server.messages import events as messages
from safelight_server.messages.asking import Call
from safelight_server.messages.job_calls import JobCalls
from safelight_server.messages.model_calls import ModelCalls

from . import bodies
from .failures import api_form, bad
from .staying import EventStream, event, to_the_end, while_here

M = TypeVar("M", bound=Message)

BODY = 45 * 2**20  # bytes: pictures of 32 MiB as base64
TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
PICTURE_HEADERS = {"cache-control": "private, max-age=31536000, immutable"}


class Api:
    """Its routes."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._jobs = desk, JobCalls(desk)

    def routes(self) -> list[Route]:
        job = "/api/jobs/{job_id}"
        table = (
            ("GET", "/api/models", self.models),
            ("POST", "/api/jobs", self.submit),
            ("GET", "/api/jobs", self.page),
            ("GET", job, self.get),
            ("DELETE", job, self.delete),
            ("POST", f"{job}/cancel", self.cancel),
            ("POST", f"{job}/finish", self.finish),
            ("POST", f"{job}/fork", self.fork),
            ("GET", f"{job}/events", self.events),
            ("GET", f"{job}/images/{{index:int}}", self.image),
            ("POST", "/api/estimate", self.estimate),
            ("POST", "/api/verify", self.verify),
        )
        return [Route(path, endpoint, methods=[method]) for method, path, endpoint in table]

    async def models(self, request: Request) -> Response:
        return _answer(ModelCalls(self._desk).models())

    async def submit(self, request: Request) -> Response:
        asked = await _message(request, pb.SubmitRequest())
        return _answer(await while_here(request, self._jobs.submit(asked, call_of(request))), 201)

    async def page(self, request: Request) -> Response:
        asked = _query(request, pb.ListJobsRequest(), page_size=int, page_token=str, state=str, model=str)
        return _answer(await self._jobs.page(asked))

    async def get(self, request: Request) -> Response:
        return _answer(await self._jobs.get(_job_id(request)))

    async def delete(self, request: Request) -> Response:
        await self._jobs.delete(_job_id(request))
        return Response(status_code=204)

    async def cancel(self, request: Request) -> Response:
        return _answer(await self._jobs.cancel(_job_id(request)))

    async def finish(self, request: Request) -> Response:
        return _answer(await self._jobs.finish(_job_id(request)))

    async def fork(self, request: Request) -> Response:
        asked = await _message(request, pb.ForkRequest())
        asked.job_id = _job_id(request)
        return _answer(await self._jobs.fork(asked, call_of(request)), 201)

    async def estimate(self, request: Request) -> Response:
        asked = await _message(request, pb.EstimateRequest())
        return _answer(await while_here(request, self._jobs.estimate(asked, call_of(request))))

    async def verify(self, request: Request) -> Response:
        form = await bodies.read_form(request)
        files: dict[str, Any] = {
            name: await bodies.file_of(form[name]) for name in ("file", "image", "mask") if name in form
        }
        asked = pb.VerifyRequest(**files)
        return _answer(await while_here(request, self._jobs.verify(asked, call_of(request))))

    async def events(self, request: Request) -> Response:
        """What happens to a job, from a number on. EventSource comes back by itself, and is told by 204 not to."""
        job_id, after = _job_id(request), _after(request)
        asked = _query(request, pb.AttachRequest().preview, every_steps=int, max_edge=int, quality=int)
        previews = previews_of(pb.AttachRequest(job_id=job_id, preview=asked))
        view = await self._desk.view(job_id)
        if after > view.last_sequence:
            raise SequenceAhead(after, view.last_sequence)
        if view.state.final and view.failure is None and 0 < after == view.last_sequence:
            return Response(status_code=204)
        return EventStream(to_the_end(_told(job_id, self._desk.attach(job_id, previews, None, after)), _failed))

    async def image(self, request: Request) -> Response:
        """A picture's file. Of one that rests, how it looks."""
        job_id, index = _job_id(request), request.path_params["index"]
        found = await self._desk.picture(job_id, index)
        if found is None:
            raise PictureNotFound(job_id, index)
        kind = TYPES[found.format] if isinstance(found, Image) else "image/jpeg"
        name = f"safelight-{job_id}-{index}.{kind.partition('/')[2]}"
        headers = {**PICTURE_HEADERS, "content-disposition": f'inline; filename="{name}"'}
        return Response(found.data, media_type=kind, headers=headers)


class PictureNotFound(JobNotFound):
    """The job has no such picture, or not yet."""

    reason = "PICTURE_NOT_FOUND"

    def __init__(self, job_id: str, index: int) -> None:
        JobError.__init__(self, f"index: job {job_id[:80]} has no picture {index}, or not yet")


def call_of(request: Request) -> Call:
    return Call(secrets.token_hex(8), caller_of(request))


def caller_of(request: Request) -> str:
    """All who come from one address and have no names are one caller."""
    return calling.get().name or f"http {request.client.host if request.client else ''}"


async def _told(job_id: str, watching: AsyncGenerator[Numbered[Event], None]) -> AsyncGenerator[bytes, None]:
    """The events as they are sent. A picture goes by its address, so that a browser keeps it."""
    async with aclosing(watching) as events:
        async for sequence, happened in events:
            name, to_message = messages.EVENTS[type(happened)]
            message, more = to_message(happened), {}
            if isinstance(happened, Image):
                message.ClearField("data")
                more["url"] = f"/api/jobs/{job_id}/images/{happened.index}"
            yield event(name, json.dumps(MessageToDict(message) | more), sequence)


def _failed(error: JobError) -> bytes:
    return event("failed", json.dumps(api_form(error)))


async def _message(request: Request, message: M) -> M:
    """The body, which is this message as ProtoJSON. Raises InvalidRequest."""
    body = await bodies.read(request, BODY)
    try:
        return await asyncio.to_thread(Parse, body or b"{}", message)
    except (ParseError, UnicodeDecodeError, RecursionError) as error:
        raise bad("body", f"must be a {message.DESCRIPTOR.full_name} as ProtoJSON: {error}") from None


def _query(request: Request, message: M, **kinds: type) -> M:
    """The message whose fields the query has. Raises InvalidRequest."""
    values: dict[str, Any] = {}
    for name, kind in kinds.items():
        text = request.query_params.get(name, "")
        try:
            values |= {name: kind(text)} if text else {}
        except ValueError:
            raise bad(name, f"must be a whole number, not {text[:80]!r}") from None
    try:
        return ParseDict(values, message)
    except ParseError as error:
        raise bad(next(iter(values)), str(error)) from None


def _after(request: Request) -> int:
    text = request.headers.get("last-event-id") or request.query_params.get("after") or "0"
    if not text.isdecimal() or len(text) > 18:
        raise bad("after", f"must be an event's number, not {text[:80]!r}")
    return int(text)


def _job_id(request: Request) -> str:
    return str(request.path_params["job_id"])


def _answer(message: Message, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    text = MessageToJson(message, indent=None)
    return Response(text, status, {"cache-control": "no-store", **(headers or {})}, "application/json")
