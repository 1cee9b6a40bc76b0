"""google.longrunning.Operations over the jobs, for the clients that speak it: an operation is a job, `jobs/ID`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any

import grpc
from google.longrunning import operations_proto_pb2 as pb
from google.protobuf.empty_pb2 import Empty
from google.rpc.status_pb2 import Status
from safelight.v1 import images_pb2 as images

from safelight_server.contract import pages
from safelight_server.desk import Desk
from safelight_server.engine.job_record import Failure, JobView
from safelight_server.errors import InvalidRequest, JobError, Violation
from safelight_server.jobs import JobState
from safelight_server.messages import events, jobs

from . import answer_size
from .calls import Calls, Context, parse, unary_handlers

NAME = pb.DESCRIPTOR.services_by_name["Operations"].full_name
PREFIX = "jobs/"
CANCELLED = Failure("CANCELLED", "JOB_CANCELLED", "the job was cancelled")
ANSWERS: dict[str, Any] = {"generate": images.GenerateResponse, "refine": images.RefineResponse}
Answer = Callable[[Any, Context], Awaitable[Any]]


class Operations:
    """Handlers for google.longrunning.Operations."""

    def __init__(self, desk: Desk, calls: Calls) -> None:
        self._desk, self._calls = desk, calls

    def handlers(self) -> grpc.GenericRpcHandler:
        methods: dict[str, tuple[Any, Answer]] = {
            "GetOperation": (pb.GetOperationRequest, self.get),
            "ListOperations": (pb.ListOperationsRequest, self.list),
            "CancelOperation": (pb.CancelOperationRequest, self.cancel),
            "DeleteOperation": (pb.DeleteOperationRequest, self.delete),
            "WaitOperation": (pb.WaitOperationRequest, self.wait),
        }
        return grpc.method_handlers_generic_handler(NAME, unary_handlers(methods, self._answer))

    async def _answer(self, request: Any, answer: Answer, body: bytes, context: Context) -> Any:
        async with self._calls.count(context):
            return await answer(parse(request, body), context)

    async def get(self, request: pb.GetOperationRequest, context: Context) -> pb.Operation:
        return await self._operation(_id(request.name), answer_size.limit_of(context))

    async def list(self, request: pb.ListOperationsRequest, context: Context) -> pb.ListOperationsResponse:
        """Without the pictures: Get brings them. A filter is none of ours."""
        if request.filter:
            raise InvalidRequest([Violation("filter", f"must be empty, not {request.filter[:80]!r}")])
        page = pages.of(request.page_size, request.page_token)
        views = await self._desk.page(page.size + 1, page.before)
        token = pages.next_token(page, [(view.created, view.id) for view in views])
        return pb.ListOperationsResponse(operations=[_told(view) for view in views[: page.size]], next_page_token=token)

    async def cancel(self, request: pb.CancelOperationRequest, context: Context) -> Empty:
        await self._desk.jobs.cancel(_id(request.name))
        return Empty()

    async def delete(self, request: pb.DeleteOperationRequest, context: Context) -> Empty:
        await self._desk.jobs.delete(_id(request.name))
        return Empty()

    async def wait(self, request: pb.WaitOperationRequest, context: Context) -> pb.Operation:
        """Until the job is over, or the time of the request or of the call is."""
        job_id, patience = _id(request.name), request.timeout.ToTimedelta().total_seconds()
        with suppress(TimeoutError, JobError):  # how it stands is the answer
            await asyncio.wait_for(self._watch(job_id), patience if request.HasField("timeout") else None)
        return await self._operation(job_id, answer_size.limit_of(context))

    async def _watch(self, job_id: str) -> None:
        async with aclosing(self._desk.attach(job_id)) as told:
            async for _ in told:
                pass

    async def _operation(self, job_id: str, limit: int) -> pb.Operation:
        view = await self._desk.view(job_id)
        operation = _told(view)
        if view.state in (JobState.SUCCEEDED, JobState.RESTING):
            answer = ANSWERS[view.method](job_id=job_id)
            for _, event in await self._desk.lasting(job_id):
                events.add(answer, event)
            answer_size.check_drawn(None, answer.ByteSize(), limit)
            operation.response.Pack(answer)
        return operation


def _told(view: JobView) -> pb.Operation:
    """Done or not, and its error if it failed; its metadata are the Job."""
    operation = pb.Operation(name=f"{PREFIX}{view.id}", done=view.state.final)
    operation.metadata.Pack(jobs.job(view))
    failure = CANCELLED if view.state is JobState.CANCELLED else view.failure
    if failure is not None:
        operation.error.CopyFrom(Status(code=grpc.StatusCode[failure.code].value[0], message=failure.message))
    return operation


def _id(name: str) -> str:
    if not name.startswith(PREFIX):
        raise InvalidRequest([Violation("name", f"must be {PREFIX}ID, not {name[:80]!r}")])
    return name.removeprefix(PREFIX)
