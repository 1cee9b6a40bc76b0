"""Jobs: those that are not there, that ended, and what cannot be done with one as it stands."""

from __future__ import annotations

from .kinds import JobError


class JobNotFound(JobError):
    """There is no such job, or not any more."""

    code = "NOT_FOUND"
    reason = "JOB_NOT_FOUND"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job_id: there is no job {job_id[:80]!r} here, or not any more")


class JobCancelled(JobError):
    """What those hear who watch a job that somebody else has cancelled."""

    code = "CANCELLED"
    reason = "JOB_CANCELLED"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} was cancelled")


class JobFailed(JobError):
    """A job that failed before, told again to whoever asks."""

    def __init__(self, code: str, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason


class RequestIdReused(JobError):
    """Another request has this id."""

    code = "ALREADY_EXISTS"
    reason = "REQUEST_ID_REUSED"

    def __init__(self, request_id: str, job_id: str) -> None:
        super().__init__(f"request_id: {request_id!r} is that of another request; its job is {job_id}")
        self.metadata = {"job_id": job_id}


class SequenceAhead(JobError):
    code = "OUT_OF_RANGE"
    reason = "SEQUENCE_AHEAD"

    def __init__(self, after: int, last: int) -> None:
        super().__init__(f"after_sequence: must be at most {last}, the number of the job's last event, not {after}")
        self.metadata = {"last_sequence": str(last)}


class NotStarted(JobError):
    """There is nothing yet that could be finished."""

    code = "FAILED_PRECONDITION"
    reason = "NOT_STARTED"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} has done no step yet: there is nothing to finish")


class FinishShared(JobError):
    """Other calls wait for the same drawing, and want it whole."""

    code = "FAILED_PRECONDITION"
    reason = "DRAWING_SHARED"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} is drawn together with an equal one; set its request_id to have it drawn alone")


class CheckpointGone(JobError):
    """No job can go on from there: that step is not kept, or its checkpoint does not fit what is served now."""

    code = "FAILED_PRECONDITION"
    reason = "CHECKPOINT_GONE"

    def __init__(self, job_id: str, step: int | None, nearest: int | None) -> None:
        kept = "no step of it is kept" if nearest is None else f"the nearest that is kept is {nearest}"
        super().__init__(f"step: {'no step' if step is None else f'step {step}'} of job {job_id} is kept; {kept}")
        self.metadata = {} if nearest is None else {"nearest_step": str(nearest)}
