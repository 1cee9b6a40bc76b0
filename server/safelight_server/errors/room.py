"""Requests that are refused because there is no room: in the queue, in time, in memory, in the store."""

from __future__ import annotations

from .kinds import JobError


class QueueFull(JobError):
    """As many jobs wait as are allowed to; in `retry_after` seconds there may be room."""

    code = "RESOURCE_EXHAUSTED"
    reason = "QUEUE_FULL"

    def __init__(self, waiting: int, retry_after: float) -> None:
        super().__init__(f"{waiting} jobs are waiting, and no more can; try again in {retry_after:.0f} s")
        self.retry_after = retry_after
        self.metadata = {"waiting": str(waiting)}


class ShareUsed(JobError):
    """A caller has as many jobs as one may have at a time."""

    code = "RESOURCE_EXHAUSTED"
    reason = "SHARE_USED"

    def __init__(self, share: int, retry_after: float) -> None:
        super().__init__(f"one caller may have {share} jobs at a time; try again in {retry_after:.0f} s")
        self.retry_after = retry_after
        self.metadata = {"share": str(share)}


class PicturesWaiting(JobError):
    """So many requests with pictures came that no more of these can be unpacked now."""

    code = "RESOURCE_EXHAUSTED"
    reason = "PICTURES_WAITING"
    retry_after = 2.0

    def __init__(self) -> None:
        super().__init__("too many pictures are being unpacked; try again in 2 s")


class DeadlineTooShort(JobError):
    """The job cannot be done before its deadline: it is refused before any work, not ended after some."""

    code = "RESOURCE_EXHAUSTED"
    reason = "DEADLINE_TOO_SHORT"

    def __init__(self, needed: float, left: float, retry_after: float | None) -> None:
        super().__init__(f"this takes {needed:.1f} s, with the work before it, and its deadline is in {left:.1f} s")
        self.retry_after = retry_after  # None: even alone it would be late
        self.metadata = {"seconds_needed": f"{needed:.3f}", "seconds_left": f"{left:.3f}"}


class MemoryShort(JobError):
    """The job takes more memory than there is: it is refused before any of it is taken."""

    code = "RESOURCE_EXHAUSTED"
    reason = "MEMORY_SHORT"

    def __init__(self, needed: int, free: int) -> None:
        super().__init__(
            f"this takes about {needed / 1e6:.0f} MB of memory, and the server has {free / 1e6:.0f}; ask for a smaller "
            "picture"
        )
        self.needed, self.free = needed, free
        self.metadata = {"needed_bytes": str(needed), "free_bytes": str(free)}


class StoreFull(JobError):
    """A job that was to be stored, and cannot be."""

    code = "RESOURCE_EXHAUSTED"
    reason = "STORE_FULL"
    retry_after = 30.0

    def __init__(self, cause: str) -> None:
        super().__init__(f"the job cannot be stored: {cause}; ask later, or without on_disconnect: KEEP")
