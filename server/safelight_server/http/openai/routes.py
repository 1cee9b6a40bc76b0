"""OpenAI's addresses: /v1/images/generations, /v1/images/edits and /v1/models."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from safelight.v1 import images_pb2 as pb
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from safelight_server.desk import Desk
from safelight_server.errors import JobError, ModelNotFound
from safelight_server.events import Event, Image, Preview, Started
from safelight_server.http import bodies, masks
from safelight_server.http.draw_request import DrawRequest
from safelight_server.http.failures import bad, in_words, status_of
from safelight_server.http.repeats import Repeats
from safelight_server.http.staying import EventStream, event, to_the_end, while_here
from safelight_server.jobs import Previews

from . import answers, fields
from .partials import Partials

EDGE = 512  # pixels of a preview
BODY = 2**20  # bytes of a request without pictures


class OpenAi:
    """Its routes."""

    def __init__(self, desk: Desk, repeats: Repeats) -> None:
        self._desk, self._repeats = desk, repeats

    def routes(self) -> list[Route]:
        return [
            Route("/v1/images/generations", self.generate, methods=["POST"]),
            Route("/v1/images/edits", self.edit, methods=["POST"]),
            Route("/v1/models", self.models, methods=["GET"]),
            Route("/v1/models/{name:path}", self.model, methods=["GET"]),
        ]

    async def models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [answers.model(name) for name in self._desk.infos()]})

    async def model(self, request: Request) -> Response:
        name, served = request.path_params["name"], self._desk.infos()
        if name not in served:
            raise ModelNotFound("model", name, list(served))
        return JSONResponse(answers.model(name))

    async def generate(self, request: Request) -> Response:
        return await self._draw(request, await bodies.read_json(request, BODY), pb.GenerateRequest())

    async def edit(self, request: Request) -> Response:
        form = await bodies.read_form(request)
        image, mask = await _file(form, "image"), await _file(form, "mask")
        if not image:
            raise bad("image", "must be the picture to start from: a PNG, JPEG or WebP file")
        if mask:
            mask = await self._desk.check(lambda infos: masks.from_alpha(mask))
        values = {name: value for name, value in form.items() if name not in fields.FILES}
        return await self._draw(request, values, pb.RefineRequest(image=image, mask=mask))

    async def _draw(self, request: Request, values: Mapping[str, Any], asked: Any) -> Response:
        order, infos = fields.read(values, asked), self._desk.infos()
        if values.get("prompt") is None:
            raise bad("prompt", "must be set")
        fields.apply_quality(order, infos)
        drawing = DrawRequest(self._desk, self._repeats, asked, request)
        try:
            job_id = await while_here(request, drawing.take())
        except JobError as error:
            raise in_words(error, {**fields.PARAMS, **order.names}) from None
        headers = {"x-safelight-job-id": job_id}
        if order.stream:
            told = self._told(request, order, drawing.events(job_id, _previews(order)))
            return EventStream(to_the_end(told, _failed), headers)
        drawn = await while_here(request, drawing.whole(job_id))
        shape = self._shape(order, drawn.started)
        urls = [_url(request, job_id, image.index) for image in drawn.images] if order.url else []
        body = await asyncio.to_thread(json.dumps, shape.answer(drawn.images, urls))  # may be megabytes
        return Response(body, 200, headers, "application/json")

    async def _told(
        self, request: Request, order: fields.Order, watching: AsyncGenerator[Event, None]
    ) -> AsyncGenerator[bytes, None]:
        """The events of a stream."""
        kind = "image_edit" if request.url.path.endswith("edits") else "image_generation"
        partials: dict[int, Partials] = defaultdict(lambda: Partials(order.partial_images))
        async with aclosing(watching) as events:
            async for happened in events:
                if isinstance(happened, Started):
                    shape = self._shape(order, happened)
                elif isinstance(happened, Preview):
                    if due := partials[happened.index].after(happened.step, happened.steps, happened.data):
                        data = await asyncio.to_thread(answers.in_format, happened.data, order.output_format)
                        for index in due:
                            yield shape.partial(kind, index, data)
                elif isinstance(happened, Image):
                    own = partials[happened.index]
                    if due := own.rest():  # fewer steps than previews; or the picture is all there is
                        last = await asyncio.to_thread(answers.in_format, own.last, order.output_format)
                        for index in due:
                            yield shape.partial(kind, index, last or happened.data)
                    yield shape.completed(kind, happened.data)

    def _shape(self, order: fields.Order, started: Started) -> answers.Shape:
        return answers.Shape(
            order, started, answers.tokens_of(order.asked.prompt, self._desk.infos().get(started.model))
        )


def _previews(order: fields.Order) -> Previews | None:
    return Previews(max_edge=EDGE, quality=85) if order.partial_images else None


def _failed(error: JobError) -> bytes:
    """In mid-stream: whatever the event, both SDKs raise an error if its data has one."""
    return event("error", json.dumps({"type": "error", **answers.error_of(error, status_of(error))}))


async def _file(form: FormData, name: str) -> bytes:
    """The one file of this name; OpenAI's own list form has brackets."""
    parts = [*form.getlist(name), *form.getlist(f"{name}[]")]
    if len(parts) > 1:
        raise bad(name, f"must be one picture, not {len(parts)}: this server starts from one")
    return await bodies.file_of(parts[0]) if parts else b""


def _url(request: Request, job_id: str, index: int) -> str:
    return f"http://{request.headers['host']}/api/jobs/{job_id}/images/{index}"
