"""A job of the server, by its id; `aio_job` has the same for asyncio."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Unpack

from .channel import QUICK
from .errors import SafelightError
from .job_requests import Changes, fork_request
from .job_status import JobStatus, status_from
from .options import Previews
from .requests import preview_options
from .results import Result
from .stream import Stream
from .v1 import jobs_pb2 as pb

if TYPE_CHECKING:
    from .line import Line

PULSE = 0.05  # seconds between two looks at a job that has just ended


class Job:
    """A job by its id. What is asked of one that is not there, or not any more, raises NotFound."""

    def __init__(self, line: Line, id: str) -> None:
        self._line, self.id = line, id

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    def status(self, *, timeout: float | None = None) -> JobStatus:
        """How it stands."""
        request = pb.GetJobRequest(job_id=self.id)
        return status_from(self._line.call(self._line.jobs.GetJob, request, timeout, QUICK).job)

    def events(
        self,
        after: int = 0,
        *,
        previews: Previews | int | None = None,
        max_image_bytes: int | None = None,
        timeout: float | None = None,
    ) -> Stream:
        """What has happened since an event's number, then what happens, to the end. Leaving only detaches.

        Raises what the job failed with, and Cancelled for one that was cancelled.
        """
        request = pb.AttachRequest(
            job_id=self.id, after_sequence=after, preview=preview_options(previews), max_image_bytes=max_image_bytes
        )
        return self._line.follow(request, timeout)

    def wait(self, timeout: float | None = None) -> JobStatus:
        """How it stands once it is over, whatever its end. Raises TimedOut after so many seconds; the job goes on."""
        status, failed = self.status(), None
        if not status.is_over:
            try:
                for _ in self.events(status.last_sequence, previews=0, timeout=timeout):
                    pass
            except SafelightError as error:
                failed = error
            status = self.status()
        while not status.is_over:
            if failed is not None:
                raise failed
            time.sleep(PULSE)
            status = self.status()
        return status

    def result(self, *, timeout: float | None = None) -> Result:
        """Its pictures, once it is over; none of one that rests. Raises as `events` does."""
        with self.events(previews=0, timeout=timeout) as events:
            return events.final()

    def cancel(self, *, timeout: float | None = None) -> JobStatus:
        """Stops it; one that is over stays as it is."""
        request = pb.CancelJobRequest(job_id=self.id)
        return status_from(self._line.call(self._line.jobs.CancelJob, request, timeout, QUICK).job)

    def finish(self, *, timeout: float | None = None) -> JobStatus:
        """Ends it after the running step, with what is there as its picture. FailedPrecondition before the first."""
        request = pb.FinishJobRequest(job_id=self.id)
        return status_from(self._line.call(self._line.jobs.FinishJob, request, timeout, QUICK).job)

    def fork(
        self,
        step: int | None = None,
        *,
        image_index: int = 0,
        stop_at_step: int | None = None,
        timeout: float | None = None,
        **changes: Unpack[Changes],
    ) -> Job:
        """A new job that goes on from a step of one of the pictures, with changes (see `Changes`).

        Without `step` it is the last one that is kept. Raises FailedPrecondition for one that is not; its
        metadata["nearest_step"] is.
        """
        request = fork_request(self.id, step, image_index, stop_at_step, changes)
        return Job(self._line, self._line.call(self._line.jobs.Fork, request, timeout, QUICK).job.id)

    def delete(self, *, timeout: float | None = None) -> None:
        """Stops it, and removes all that is stored of it."""
        self._line.call(self._line.jobs.DeleteJob, pb.DeleteJobRequest(job_id=self.id), timeout, QUICK, most=1)
