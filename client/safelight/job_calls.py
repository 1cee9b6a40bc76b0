"""What a client can ask of jobs; `aio_job_calls` has the same for asyncio."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Unpack

from .arguments import DrawOptions, documented
from .channel import QUICK
from .image_input import ImageInput
from .job import Job
from .job_requests import estimate_request, list_request, submit_request, verify_request
from .job_status import Estimate, JobState, JobStatus, Verification, estimate_from, status_from, verification_from
from .line import Line


class JobCalls:
    """The part of Client that is about jobs."""

    _line: Line

    @documented
    def submit(
        self,
        prompt: str,
        *,
        image: ImageInput | None = None,
        mask: ImageInput | None = None,
        strength: float | None = None,
        timeout: float | None = None,
        **options: Unpack[DrawOptions],
    ) -> Job:
        """Asks for pictures, or with `image` for one that is redrawn, and returns as soon as the server has the job.

        It is drawn whether anybody watches or not (`on_disconnect` is "keep"), and kept for a day, or for `retain`.
        """
        request = submit_request(prompt, image, mask, strength, options)
        return Job(self._line, self._line.call(self._line.jobs.Submit, request, timeout).job.id)

    def job(self, id: str) -> Job:
        """The job with this id. The server is asked when the job is."""
        return Job(self._line, id)

    def jobs(
        self, state: JobState | None = None, model: str | None = None, *, timeout: float | None = None
    ) -> Iterator[JobStatus]:
        """All jobs, or those in a state or of a model, the newest first; asked for in pages, as they are read."""
        token: str | None = ""
        while token is not None:
            page = self._line.call(self._line.jobs.ListJobs, list_request(state, model, token), timeout, QUICK)
            yield from map(status_from, page.jobs)
            token = page.next_page_token or None

    @documented
    def estimate(
        self,
        prompt: str,
        *,
        image: ImageInput | None = None,
        mask: ImageInput | None = None,
        strength: float | None = None,
        timeout: float | None = None,
        **options: Unpack[DrawOptions],
    ) -> Estimate:
        """How long such a drawing would take now, and what memory. Nothing is drawn."""
        request = estimate_request(prompt, image, mask, strength, options)
        return estimate_from(self._line.call(self._line.jobs.Estimate, request, timeout, QUICK))

    def verify(
        self,
        file: ImageInput,
        image: ImageInput | None = None,
        mask: ImageInput | None = None,
        *,
        timeout: float | None = None,
    ) -> Verification:
        """Draws the picture in a PNG file again by its receipt, and says whether it is the same.

        `image` and `mask` are the files that it was redrawn from, if it was. True in a condition if every pixel is.
        """
        request = verify_request(file, image, mask)
        return verification_from(self._line.call(self._line.jobs.Verify, request, timeout))
