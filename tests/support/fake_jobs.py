"""The jobs of the scripted server: JobService, answered by a test's functions, or as if every job were drawn."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from safelight.v1 import images_pb2 as images
from safelight.v1 import jobs_pb2 as pb
from safelight.v1.jobs_pb2_grpc import JobServiceServicer

Handler = Callable[[Any, grpc.ServicerContext], Any]


class FakeJobs(JobServiceServicer):
    """Handlers are called submit, attach, get_job, list_jobs, ...; `asked` has all requests, `cancelled` the ids."""

    def __init__(self, handlers: dict[str, Handler]) -> None:
        self._handlers = handlers
        self.asked: list[Any] = []
        self.cancelled: list[str] = []
        self.left = threading.Event()  # a job was cancelled

    def Submit(self, request: pb.SubmitRequest, context: grpc.ServicerContext) -> Any:
        return self._answer("submit", request, context, pb.SubmitResponse(job=job()))

    def Attach(self, request: pb.AttachRequest, context: grpc.ServicerContext) -> Any:
        return self._answer("attach", request, context, iter(()))

    def GetJob(self, request: pb.GetJobRequest, context: grpc.ServicerContext) -> Any:
        return self._answer("get_job", request, context, pb.GetJobResponse(job=job(id=request.job_id)))

    def ListJobs(self, request: pb.ListJobsRequest, context: grpc.ServicerContext) -> Any:
        return self._answer("list_jobs", request, context, pb.ListJobsResponse(jobs=[job()]))

    def DeleteJob(self, request: pb.DeleteJobRequest, context: grpc.ServicerContext) -> Any:
        return self._answer("delete_job", request, context, pb.DeleteJobResponse())

    def CancelJob(self, request: pb.CancelJobRequest, context: grpc.ServicerContext) -> Any:
        self.cancelled.append(request.job_id)
        self.left.set()
        ended = job(id=request.job_id, state=pb.JOB_STATE_CANCELLED)
        return self._answer("cancel_job", request, context, pb.CancelJobResponse(job=ended))

    def FinishJob(self, request: pb.FinishJobRequest, context: grpc.ServicerContext) -> Any:
        return self._answer("finish_job", request, context, pb.FinishJobResponse(job=job(id=request.job_id)))

    def Fork(self, request: pb.ForkRequest, context: grpc.ServicerContext) -> Any:
        return self._answer("fork", request, context, pb.ForkResponse(job=job(id="forked")))

    def Estimate(self, request: pb.EstimateRequest, context: grpc.ServicerContext) -> Any:
        return self._answer("estimate", request, context, pb.EstimateResponse())

    def Verify(self, request: pb.VerifyRequest, context: grpc.ServicerContext) -> Any:
        return self._answer("verify", request, context, pb.VerifyResponse(same=True, max_difference=0))

    def _answer(self, name: str, request: Any, context: grpc.ServicerContext, usual: Any) -> Any:
        self.asked.append(request)
        return self._handlers[name](request, context) if name in self._handlers else usual


def job(**fields: Any) -> pb.Job:
    """A job that is drawn, but for these fields."""
    usual: dict[str, Any] = {
        "id": "job",
        "state": pb.JOB_STATE_SUCCEEDED,
        "step": 2,
        "steps": 2,
        "images_done": 1,
        "num_images": 1,
        "last_sequence": 7,
        "create_time": Timestamp(seconds=1_800_000_000),
        "end_time": Timestamp(seconds=1_800_000_003),
        "generate": images.GenerateRequest(model="vega", prompt="a red apple", seed=7, request_id="mine"),
        "on_disconnect": images.ON_DISCONNECT_KEEP,
    }
    return pb.Job(**(usual | fields))
