"""The gRPC door for jobs: taken in one call, watched, asked for and changed in others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any

import grpc
from safelight.v1 import jobs_pb2 as pb

from safelight_server.contract import forks, pages, receipts
from safelight_server.contract.requests import asked_in, check_request, plan_from, previews_of, takes_long
from safelight_server.desk import Desk
from safelight_server.engine import estimate, job_pages
from safelight_server.engine.job_record import JobView
from safelight_server.jobs import Image, OnDisconnect

from . import answer_size, job_messages, responses
from .calls import Calls, Context, ask_for, deadline_of, parse, serialize

NAME = pb.DESCRIPTOR.services_by_name["JobService"].full_name
Answer = Callable[[Any, Context, str], Awaitable[Any]]  # of a request, its call, and the call's id


class JobService:
    """Handlers for safelight.v1.JobService."""

    def __init__(self, desk: Desk, calls: Calls) -> None:
        self._desk, self._calls = desk, calls

    def handlers(self) -> grpc.GenericRpcHandler:
        unary: dict[str, tuple[Any, Answer]] = {
            "Submit": (pb.SubmitRequest, self.submit),
            "GetJob": (pb.GetJobRequest, self.get_job),
            "ListJobs": (pb.ListJobsRequest, self.list_jobs),
            "DeleteJob": (pb.DeleteJobRequest, self.delete_job),
            "CancelJob": (pb.CancelJobRequest, self.cancel_job),
            "FinishJob": (pb.FinishJobRequest, self.finish_job),
            "Fork": (pb.ForkRequest, self.fork),
            "Estimate": (pb.EstimateRequest, self.estimate),
            "Verify": (pb.VerifyRequest, self.verify),
        }
        methods: dict[str, Any] = {
            name: grpc.unary_unary_rpc_method_handler(
                partial(self._answer, request, answer), response_serializer=serialize
            )
            for name, (request, answer) in unary.items()
        }
        methods["Attach"] = grpc.unary_stream_rpc_method_handler(self.attach, response_serializer=serialize)
        return grpc.method_handlers_generic_handler(NAME, methods)

    async def _answer(self, request: Any, answer: Answer, body: bytes, context: Context) -> Any:
        async with self._calls.count(context) as call_id:
            return await answer(parse(request, body), context, call_id)

    async def submit(self, request: pb.SubmitRequest, context: Context, call_id: str) -> pb.SubmitResponse:
        check_request(request)
        asked = asked_in(request)
        check = partial(plan_from, asked, job_id=call_id, prefix=f"{request.WhichOneof('request')}.")
        ask = ask_for(asked, context, OnDisconnect.KEEP)
        job_id = await self._desk.take(ask, check, unpacks=takes_long(asked_in(request)))
        self._desk.expect(job_id)
        return pb.SubmitResponse(job=await self._job(job_id))

    async def attach(self, body: bytes, context: Context) -> AsyncIterator[pb.AttachResponse]:
        async with self._calls.count(context):
            request, limit = parse(pb.AttachRequest, body), answer_size.limit_of(context)
            piece = answer_size.piece_size(request.max_image_bytes or limit, limit)
            watching = self._desk.attach(
                request.job_id, previews_of(request), deadline_of(context), request.after_sequence
            )
            async with aclosing(watching) as events:
                async for sequence, event in events:
                    whole = responses.stream_response(pb.AttachResponse, request.job_id, sequence, event)
                    for response in responses.pieces(whole, piece):
                        yield response

    async def get_job(self, request: pb.GetJobRequest, context: Context, call_id: str) -> pb.GetJobResponse:
        return pb.GetJobResponse(job=await self._job(request.job_id))

    async def list_jobs(self, request: pb.ListJobsRequest, context: Context, call_id: str) -> pb.ListJobsResponse:
        page = pages.read(request)
        views = await job_pages.page(self._desk.jobs, page.size + 1, page.before, page.state, request.model)
        more = pages.token(views[page.size - 1].created, views[page.size - 1].id) if len(views) > page.size else ""
        return pb.ListJobsResponse(jobs=[job_messages.job(view) for view in views[: page.size]], next_page_token=more)

    async def delete_job(self, request: pb.DeleteJobRequest, context: Context, call_id: str) -> pb.DeleteJobResponse:
        await self._desk.jobs.delete(request.job_id)
        return pb.DeleteJobResponse()

    async def cancel_job(self, request: pb.CancelJobRequest, context: Context, call_id: str) -> pb.CancelJobResponse:
        return pb.CancelJobResponse(job=job_messages.job(await self._desk.jobs.cancel(request.job_id)))

    async def finish_job(self, request: pb.FinishJobRequest, context: Context, call_id: str) -> pb.FinishJobResponse:
        return pb.FinishJobResponse(job=job_messages.job(await self._desk.jobs.finish(request.job_id)))

    async def fork(self, request: pb.ForkRequest, context: Context, call_id: str) -> pb.ForkResponse:
        fork = forks.Fork(request)
        ask = ask_for(request, context, OnDisconnect.KEEP)._replace(pack=fork.pack)
        check = partial(fork.plan_from, job_id=call_id)
        step = request.step if request.HasField("step") else None
        job_id = await self._desk.fork(ask, request.job_id, request.image_index, step, check)
        self._desk.expect(job_id)
        return pb.ForkResponse(job=await self._job(job_id))

    async def estimate(self, request: pb.EstimateRequest, context: Context, call_id: str) -> pb.EstimateResponse:
        check_request(request)
        check = partial(plan_from, asked_in(request), job_id=call_id, prefix=f"{request.WhichOneof('request')}.")
        plan = await self._desk.check(check, context.peer(), unpacks=takes_long(asked_in(request)))
        return job_messages.estimate(estimate.estimate(self._desk.jobs.engine, plan, context.peer()))

    async def verify(self, request: pb.VerifyRequest, context: Context, call_id: str) -> pb.VerifyResponse:
        claim = receipts.read(request)
        check = partial(plan_from, claim.request, job_id=call_id, prefix="receipt.")
        ask = ask_for(claim.request, context)
        job_id = await self._desk.take(ask, check, unpacks=takes_long(claim.request))
        async with aclosing(self._desk.attach(job_id, None, deadline_of(context))) as events:
            async for _, event in events:
                if isinstance(event, Image):
                    return claim.verdict(event.data, responses.image(event).receipt)
        raise AssertionError("a job ends with a picture, or raises")

    async def _job(self, job_id: str) -> pb.Job:
        view = await job_pages.view(self._desk.jobs, job_id)
        found = await self._desk.jobs.find(job_id)
        eta = None if isinstance(found, JobView) else estimate.eta(self._desk.jobs.engine, found.drawing)
        return job_messages.job(view, eta)
