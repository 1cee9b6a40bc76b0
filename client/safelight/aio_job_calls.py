"""What an asynchronous client can ask of jobs; `job_calls` has the same for ordinary code."""

# ruff: noqa: ASYNC109 - a timeout here is the call's deadline, which goes to the server

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Unpack

from .aio_job import AsyncJob
from .arguments import DrawOptions, documented
from .channel import QUICK
from .image_input import ImageInput
from .job_requests import estimate_request, list_request, submit_request, verify_request
from .job_status import Estimate, JobState, JobStatus, Verification, estimate_from, status_from, verification_from

if TYPE_CHECKING:
    from .aio_line import AsyncLine


class AsyncJobCalls:
    """The part of AsyncClient that is about jobs."""

    if TYPE_CHECKING:

        @property
        def _line(self) -> AsyncLine: ...

    @documented
    async def submit(
        self,
        prompt: str,
        *,
        image: ImageInput | None = None,
        mask: ImageInput | None = None,
        strength: float | None = None,
        timeout: float | None = None,
        **options: Unpack[DrawOptions],
    ) -> AsyncJob:
        """Asks for pictures, or with `image` for one that is redrawn, and returns as soon as the server has the job.

        It is drawn whether anybody watches or not (`on_disconnect` is "keep"), and kept for a day, or for `retain`.
        """
        request = submit_request(prompt, image, mask, strength, options)
        return AsyncJob(self._line, (await self._line.call(self._line.jobs.Submit, request, timeout)).job.id)

    def job(self, id: str) -> AsyncJob:
        """The job with this id. The server is asked when the job is."""
        return AsyncJob(self._line, id)

    async def jobs(
        self, state: JobState | None = None, model: str | None = None, *, timeout: float | None = None
    ) -> AsyncIterator[JobStatus]:
        """All jobs, or those in a state or of a model, the newest first; asked for in pages, as they are read."""
        token: str | None = ""
        while token is not None:
            page = await self._line.call(self._line.jobs.ListJobs, list_request(state, model, token), timeout, QUICK)
            for job in page.jobs:
                yield status_from(job)
            token = page.next_page_token or None

    @documented
    async def estimate(
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
        return estimate_from(await self._line.call(self._line.jobs.Estimate, request, timeout, QUICK))

    async def verify(
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
        return verification_from(await self._line.call(self._line.jobs.Verify, request, timeout))
