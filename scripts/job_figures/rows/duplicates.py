"""The same request id a thousand times at once, and another request under it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import grpc
from abusing.finding import Effort, Finding, at_least, at_most
from google.rpc import error_details_pb2, status_pb2
from safelight.v1 import images_pb2 as images
from safelight.v1 import jobs_pb2 as pb

from job_figures.asking import USUAL
from job_figures.serving import connect, place

STREAMS = 32  # of a connection
ASKED: dict[str, Any] = {**USUAL, "request_id": "once"}
PATIENCE = 300  # seconds


def measure(effort: Effort) -> Iterator[Finding]:
    count = effort.pick(1000, 96)
    with place("base") as here, here.serve() as (server, connection):
        request = images.GenerateRequest(**ASKED)
        request.ClearField("seed")  # which is drawn by lot, once
        channels = [connect(server.address) for _ in range(-(-count // STREAMS))]
        calls = [channels[n // STREAMS].images.Generate.future(request, timeout=PATIENCE) for n in range(count)]
        answers: Counter[bytes] = Counter()
        errors: Counter[str] = Counter()
        for call in calls:
            try:
                answers[call.result().SerializeToString(deterministic=True)] += 1
            except grpc.RpcError as error:
                errors[_reason(error)] += 1
        for channel in channels:
            channel.channel.close()
        found = [job for job in connection.jobs.ListJobs(pb.ListJobsRequest()).jobs if job.request_id == "once"]
        other = _of_other(connection.images)
    same = max(answers.values(), default=0)
    yield at_least(f"equal answers, of {count}{_told(errors)}", same, count)
    yield at_most("different answers, where each drawing would have a seed of its own", len(answers), 1)
    yield at_most("jobs in ListJobs", len(found), 1)
    yield Finding("another request under that id", other, "ALREADY_EXISTS", other == "ALREADY_EXISTS")


def _told(errors: Counter[str]) -> str:
    return "".join(f"; {times} {name}" for name, times in errors.items())


def _of_other(stub: Any) -> str:
    try:
        stub.Generate(images.GenerateRequest(**{**ASKED, "steps": 4}))
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def _reason(error: Any) -> str:
    """The code, and the reason of the status if there is one."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                info = error_details_pb2.ErrorInfo()
                if detail.Unpack(info):
                    return f"{error.code().name} ({info.reason})"
    return str(error.code().name)
