"""The gRPC door for jobs: taken in one call, watched, asked for and changed in others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc
from safelight.v1 import jobs_pb2 as pb

from safelight_server.contract.requests import previews_of
from safelight_server.desk import Desk
from safelight_server.messages import events as messages
from safelight_server.messages.asking import Call
from safelight_server.messages.job_calls import JobCalls

from . import answer_size
from .calls import Calls, Context, call_of, deadline_of, parse, serialize, unary_handlers

NAME = pb.DESCRIPTOR.services_by_name["JobService"].full_name
Answer = Callable[[Any, Call], Awaitable[Any]]


class JobService:
    """Handlers for safelight.v1.JobService."""

    def __init__(self, desk: Desk, calls: Calls) -> None:
        self._desk, self._calls, self._jobs = desk, calls, JobCalls(desk)

    def handlers(self) -> grpc.GenericRpcHandler:
        unary: dict[str, tuple[Any, Answer]] = {
            "Submit": (pb.SubmitRequest, self.submit),
            "GetJob": (pb.GetJobRequest, self.get_job),
            "ListJobs": (pb.ListJobsRequest, self.list_jobs),
            "DeleteJob": (pb.DeleteJobRequest, self.delete_job),
            "CancelJob": (pb.CancelJobRequest, self.cancel_job),
            "FinishJob": (pb.FinishJobRequest, self.finish_job),
            "Fork": (pb.ForkRequest, self.fork),
            "Estimate": (pb.EstimateRequest, self._jobs.estimate),
            "Verify": (pb.VerifyRequest, self._jobs.verify),
        }
        methods = unary_handlers(unary, self._answer)
        methods["Attach"] = grpc.unary_stream_rpc_method_handler(self.attach, response_serializer=serialize)
        return grpc.method_handlers_generic_handler(NAME, methods)

    async def _answer(self, request: Any, answer: Answer, body: bytes, context: Context) -> Any:
        async with self._calls.count(context) as call_id:
            return await answer(parse(request, body), call_of(context, call_id))

    async def attach(self, body: bytes, context: Context) -> AsyncIterator[pb.AttachResponse]:
        async with self._calls.count(context):
            request, limit = parse(pb.AttachRequest, body), answer_size.limit_of(context)
            piece = answer_size.piece_size(request.max_image_bytes or limit, limit)
            watching = self._desk.attach(
                request.job_id, previews_of(request), deadline_of(context), request.after_sequence
            )
            async with aclosing(watching) as events:
                async for sequence, event in events:
                    whole = messages.stream_response(pb.AttachResponse, request.job_id, sequence, event)
                    for response in messages.pieces(whole, piece):
                        yield response

    async def submit(self, request: pb.SubmitRequest, call: Call) -> pb.SubmitResponse:
        return pb.SubmitResponse(job=await self._jobs.submit(request, call))

    async def get_job(self, request: pb.GetJobRequest, call: Call) -> pb.GetJobResponse:
        return pb.GetJobResponse(job=await self._jobs.get(request.job_id))

    async def list_jobs(self, request: pb.ListJobsRequest, call: Call) -> pb.ListJobsResponse:
        return await self._jobs.page(request)

    async def delete_job(self, request: pb.DeleteJobRequest, call: Call) -> pb.DeleteJobResponse:
        await self._jobs.delete(request.job_id)
        return pb.DeleteJobResponse()

    async def cancel_job(self, request: pb.CancelJobRequest, call: Call) -> pb.CancelJobResponse:
        return pb.CancelJobResponse(job=await self._jobs.cancel(request.job_id))

    async def finish_job(self, request: pb.FinishJobRequest, call: Call) -> pb.FinishJobResponse:
        return pb.FinishJobResponse(job=await self._jobs.finish(request.job_id))

    async def fork(self, request: pb.ForkRequest, call: Call) -> pb.ForkResponse:
        return pb.ForkResponse(job=await self._jobs.fork(request, call))
