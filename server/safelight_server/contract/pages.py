"""Which jobs a ListJobs asks for: a page of them, from where the last one ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from safelight.v1 import jobs_pb2 as pb

from safelight_server.jobs import JobState

from .field_reader import FieldReader

SIZE, MOST = 50, 100
STATES = {
    pb.JOB_STATE_QUEUED: JobState.QUEUED,
    pb.JOB_STATE_RUNNING: JobState.RUNNING,
    pb.JOB_STATE_RESTING: JobState.RESTING,
    pb.JOB_STATE_SUCCEEDED: JobState.SUCCEEDED,
    pb.JOB_STATE_CANCELLED: JobState.CANCELLED,
    pb.JOB_STATE_FAILED: JobState.FAILED,
}


class Page(NamedTuple):
    size: int
    before: tuple[float, str] | None  # (created, id) of the last job of the page before
    state: JobState | None


def read(request: pb.ListJobsRequest) -> Page:
    """Raises InvalidRequest with every bad field."""
    fields = FieldReader(request)
    if request.state and request.state not in STATES:
        fields.bad("state", f"must be one of {', '.join(pb.JobState.keys())}, not {request.state}")
    before = None
    if request.page_token:
        created, _, job_id = request.page_token.partition(" ")
        try:
            before = float.fromhex(created), job_id
        except ValueError:
            fields.bad("page_token", f"must be one that a response gave, not {request.page_token[:80]!r}")
    fields.finish()
    return Page(min(request.page_size or SIZE, MOST), before, STATES.get(request.state))


def of(size: int, token: str) -> Page:
    """A page of jobs in any state. Raises InvalidRequest for a token that no response gave."""
    return read(pb.ListJobsRequest(page_size=max(0, size), page_token=token))


def next_token(page: Page, found: Sequence[tuple[float, str]]) -> str:
    """For the page after this one, by (created, id) of the jobs that were found; empty if none are left over."""
    if len(found) <= page.size:
        return ""
    created, job_id = found[page.size - 1]
    return f"{created.hex()} {job_id}"
