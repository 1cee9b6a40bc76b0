"""The gRPC door: bytes to a request, a plan to the desk, events to messages. Generate is Stream without previews."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import grpc
from safelight.v1 import images_pb2 as pb

from safelight_server.contract.requests import asked_in, plan_from, previews_of, stream_from, takes_long
from safelight_server.desk import Check, Desk
from safelight_server.diffusion.model_info import ModelInfo
from safelight_server.diffusion.plan import Plan
from safelight_server.jobs import Job
from safelight_server.messages import events as messages
from safelight_server.messages.asking import ask_for
from safelight_server.messages.model_calls import ModelCalls

from . import answer_size
from .calls import Calls, Context, M, call_of, deadline_of, parse, serialize

NAME = pb.DESCRIPTOR.services_by_name["ImageService"].full_name


class ImageService:
    """Handlers for safelight.v1.ImageService."""

    def __init__(self, desk: Desk, calls: Calls) -> None:
        self._desk, self._calls = desk, calls

    def handlers(self) -> grpc.GenericRpcHandler:
        """Raw bytes in: a message that does not parse must be INVALID_ARGUMENT, not UNKNOWN with a Python traceback."""
        unary = {"Generate": self.generate, "Refine": self.refine, "ListModels": self.list_models}
        methods: dict[str, Any] = {
            name: grpc.unary_unary_rpc_method_handler(method, response_serializer=serialize)
            for name, method in unary.items()
        }
        methods["Stream"] = grpc.unary_stream_rpc_method_handler(self.stream, response_serializer=serialize)
        return grpc.method_handlers_generic_handler(NAME, methods)

    async def generate(self, body: bytes, context: Context) -> pb.GenerateResponse:
        return await self._unary(body, context, pb.GenerateRequest, pb.GenerateResponse)

    async def refine(self, body: bytes, context: Context) -> pb.RefineResponse:
        return await self._unary(body, context, pb.RefineRequest, pb.RefineResponse)

    async def list_models(self, body: bytes, context: Context) -> pb.ListModelsResponse:
        async with self._calls.count(context):
            parse(pb.ListModelsRequest, body)
            return ModelCalls(self._desk).models()
        raise AssertionError("abort does not return")

    async def stream(self, body: bytes, context: Context) -> AsyncIterator[pb.StreamResponse]:
        async with self._calls.count(context) as call_id:
            request, limit = parse(pb.StreamRequest, body), answer_size.limit_of(context)
            asked, prefix = asked_in(request), f"{request.WhichOneof('request')}."
            drawn: list[Job] = []  # what is asked for, if it is a new job

            def check(infos: Mapping[str, ModelInfo]) -> Plan:
                plan = stream_from(request, infos, call_id)
                if not request.max_image_bytes:
                    answer_size.check_pictures(plan.job, limit, prefix)
                drawn.append(plan.job)
                return plan

            job_id = await self._take(asked, check, context)
            piece = answer_size.piece_size(request.max_image_bytes, limit)
            watching = self._desk.attach(job_id, previews_of(request), deadline_of(context))
            async with aclosing(watching) as events:
                async for sequence, event in events:
                    whole = messages.stream_response(pb.StreamResponse, job_id, sequence, event)
                    for response in messages.pieces(whole, piece):
                        answer_size.check_drawn(drawn[0] if drawn else None, response.ByteSize(), limit, prefix)
                        yield response

    async def _unary(self, body: bytes, context: Context, request: type[Any], response: type[M]) -> M:
        async with self._calls.count(context) as call_id:
            asked, limit = parse(request, body), answer_size.limit_of(context)
            drawn: list[Job] = []  # what is asked for, if it is a new job

            def check(infos: Mapping[str, ModelInfo]) -> Plan:
                plan = plan_from(asked, infos, call_id)
                answer_size.check(plan.job, limit)
                drawn.append(plan.job)
                return plan

            job_id = await self._take(asked, check, context)
            answer: Any = response(job_id=job_id)
            watching = self._desk.attach(job_id, None, deadline_of(context))
            async with aclosing(watching) as events:
                async for _, event in events:
                    messages.add(answer, event)
                    answer_size.check_drawn(drawn[0] if drawn else None, answer.ByteSize(), limit)
            return answer  # type: ignore[no-any-return]
        raise AssertionError("abort does not return")

    async def _take(self, asked: Any, check: Check[Plan], context: Context) -> str:
        return await self._desk.take(ask_for(asked, call_of(context, "")), check, unpacks=takes_long(asked))
