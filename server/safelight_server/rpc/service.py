"""The gRPC door: bytes to a request, a plan to the desk, events to responses. Generate is Stream without previews."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any

import grpc
from safelight.v1 import images_pb2 as pb

from safelight_server.contract.requests import plan_from, stream_from
from safelight_server.desk import Desk
from safelight_server.diffusion.plan import Plan
from safelight_server.jobs import Done, Event, Image, Previews, Started

from . import answer_size, responses
from .calls import Context, M, parse, report, serialize

NAME = pb.DESCRIPTOR.services_by_name["ImageService"].full_name


class ImageService:
    """Handlers for safelight.v1.ImageService."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._calls: set[asyncio.Task[Any]] = set()

    def handlers(self) -> grpc.GenericRpcHandler:
        """Raw bytes in: a message that does not parse must be INVALID_ARGUMENT, not UNKNOWN with a Python traceback."""
        unary = {"Generate": self.generate, "Refine": self.refine, "ListModels": self.list_models}
        methods: dict[str, Any] = {
            name: grpc.unary_unary_rpc_method_handler(method, response_serializer=serialize)
            for name, method in unary.items()
        }
        methods["Stream"] = grpc.unary_stream_rpc_method_handler(self.stream, response_serializer=serialize)
        return grpc.method_handlers_generic_handler(NAME, methods)

    async def finish(self, patience: float) -> None:
        """Waits until the calls that run have sent their last bytes; gRPC's own stop() does not always."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=patience)

    async def generate(self, body: bytes, context: Context) -> pb.GenerateResponse:
        return await self._unary(body, context, pb.GenerateRequest, pb.GenerateResponse)

    async def refine(self, body: bytes, context: Context) -> pb.RefineResponse:
        return await self._unary(body, context, pb.RefineRequest, pb.RefineResponse)

    async def list_models(self, body: bytes, context: Context) -> pb.ListModelsResponse:
        async with self._call(context):
            parse(pb.ListModelsRequest, body)
            return pb.ListModelsResponse(models=[responses.model(info) for info in self._desk.infos().values()])
        raise AssertionError("abort does not return")

    async def stream(self, body: bytes, context: Context) -> AsyncIterator[pb.StreamResponse]:
        async with self._call(context) as job_id:
            request, limit = parse(pb.StreamRequest, body), answer_size.limit_of(context)
            unpacks = request.HasField("refine")
            check = partial(stream_from, request, job_id=job_id)
            plan, previews = await self._desk.check(check, context.peer(), unpacks=unpacks)
            prefix = f"{request.WhichOneof('request')}."
            piece = answer_size.piece_size(request.max_image_bytes, plan.job, limit, prefix)
            async with aclosing(self._submit(plan, previews, context)) as events:
                sequence = 0
                async for event in events:
                    sequence += 1
                    whole = responses.stream_response(job_id, sequence, event)
                    for response in responses.pieces(whole, piece):
                        answer_size.check_drawn(plan.job, response.ByteSize(), limit, prefix)
                        yield response

    async def _unary(self, body: bytes, context: Context, request: type[Any], response: type[M]) -> M:
        async with self._call(context) as job_id:
            limit = answer_size.limit_of(context)
            check = partial(plan_from, parse(request, body), job_id=job_id)
            plan = await self._desk.check(check, context.peer(), unpacks=request is pb.RefineRequest)
            answer_size.check(plan.job, limit)
            answer: Any = response(job_id=job_id)
            async with aclosing(self._submit(plan, None, context)) as events:
                async for event in events:
                    if isinstance(event, Started):
                        answer.warnings.extend(event.warnings)
                        answer.MergeFrom(response(acceleration=responses.acceleration(event.job.acceleration)))
                    elif isinstance(event, Image):
                        answer.images.append(responses.image(event))
                    elif isinstance(event, Done):
                        answer.timings.CopyFrom(responses.timings(event))
                    answer_size.check_drawn(plan.job, answer.ByteSize(), limit)
            return answer  # type: ignore[no-any-return]
        raise AssertionError("abort does not return")

    def _submit(self, plan: Plan, previews: Previews | None, context: Context) -> AsyncGenerator[Event, None]:
        return self._desk.submit(plan, previews, _deadline(context), context.peer())

    @asynccontextmanager
    async def _call(self, context: Context) -> AsyncGenerator[str, None]:
        """Counts a call until its last byte is sent, and reports its errors; gives its id."""
        task = asyncio.current_task()
        assert task is not None
        self._calls.add(task)
        try:
            async with report(context) as job_id:
                yield job_id
        finally:
            self._calls.discard(task)


def _deadline(context: Context) -> float | None:
    """When the client gives up, as a time.monotonic()."""
    remaining = context.time_remaining()
    return None if remaining is None else time.monotonic() + remaining
