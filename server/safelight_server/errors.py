"""Everything that can be refused or go wrong, each with the gRPC status and the reason that a client gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple


class LoadError(Exception):
    """A model folder that cannot be served; the text is one line that says what is wrong with which file."""


class Violation(NamedTuple):
    """One bad field: its path in the request, and what is wrong: the rule and the value."""

    field: str
    description: str


class JobError(Exception):
    """A job that was refused or failed. `code` names a gRPC status, `reason` goes into google.rpc.ErrorInfo."""

    code = "INTERNAL"
    reason = "INTERNAL"
    retry_after: float | None = None  # seconds; None: trying again does not help
    violations: Sequence[Violation] = ()
    metadata: Mapping[str, str] = MappingProxyType({})


class Unexpected(JobError):
    """What is told of an error that nobody foresaw; its own text is for the log."""

    def __init__(self) -> None:
        super().__init__("the server failed on this job; its log says how")


class InvalidRequest(JobError):
    """A request with bad fields; `violations` names all of them."""

    code = "INVALID_ARGUMENT"
    reason = "INVALID_REQUEST"

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("; ".join(f"{violation.field}: {violation.description}" for violation in violations))
        self.violations = violations


class TokenMissing(JobError):
    """A call without a token, where one is needed."""

    code = "UNAUTHENTICATED"
    reason = "TOKEN_MISSING"

    def __init__(self) -> None:
        super().__init__("a token is needed: send `authorization: Bearer TOKEN`")


class TokenUnknown(JobError):
    """A call with a token that nobody has. The token is not told: it may be right elsewhere."""

    code = "UNAUTHENTICATED"
    reason = "TOKEN_UNKNOWN"

    def __init__(self) -> None:
        super().__init__("nobody here has this token")


class RightMissing(JobError):
    """A call that its caller may not make."""

    code = "PERMISSION_DENIED"
    reason = "RIGHT_MISSING"

    def __init__(self, name: str, right: str) -> None:
        super().__init__(f"{name} may not do this: it takes the right to {right}")
        self.metadata = {"right": right}


class ModelNotFound(JobError):
    """A request, in its field `field`, for a model that is not served."""

    code = "NOT_FOUND"
    reason = "MODEL_NOT_FOUND"

    def __init__(self, field: str, name: str, served: Sequence[str]) -> None:
        super().__init__(f"{field}: no model {name[:80]!r} here; there is {', '.join(served)}")
        self.violations = [Violation(field, f"must be one of {', '.join(served)}, not {name[:80]!r}")]
        self.metadata = {"field": field, "served_models": ", ".join(served)}


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


class ShuttingDown(JobError):
    """The server takes no more jobs, because it is about to end."""

    code = "UNAVAILABLE"
    reason = "SHUTTING_DOWN"
    retry_after = 1.0

    def __init__(self) -> None:
        super().__init__("this server is shutting down")


class StillLoading(JobError):
    """The server takes no jobs yet, because it is loading its models."""

    code = "UNAVAILABLE"
    reason = "LOADING"
    retry_after = 2.0

    def __init__(self) -> None:
        super().__init__("the models are still being loaded")


class ModelLoading(JobError):
    """The model is being loaded, and the request does not want to wait for it."""

    code = "UNAVAILABLE"
    reason = "MODEL_LOADING"

    def __init__(self, name: str, retry_after: float) -> None:
        super().__init__(f"model {name} is being loaded; try again in {retry_after:.0f} s")
        self.retry_after = retry_after


class ModelUnusable(JobError):
    """The model could not be loaded. Clients are not told of files: the log says how."""

    code = "UNAVAILABLE"
    reason = "MODEL_UNUSABLE"

    def __init__(self, name: str, retry_after: float) -> None:
        super().__init__(f"model {name} could not be loaded; the server's log says how")
        self.retry_after = retry_after


class ModelTooLarge(JobError):
    """The model does not fit into the memory that the server may take, even when no other one is loaded."""

    code = "FAILED_PRECONDITION"
    reason = "MODEL_TOO_LARGE"

    def __init__(self, name: str, needed: int, taken: int, limit: int) -> None:
        super().__init__(
            f"model {name} takes about {needed / 1e9:.2f} GB, and does not fit: --memory-limit is {limit / 1e9:.2f} "
            f"GB, and the server has {taken / 1e9:.2f} GB without it"
        )
        self.metadata = {"needed_bytes": str(needed), "limit_bytes": str(limit)}


class MemoryShort(JobError):
    """The job takes more memory than there is: it is refused before any of it is taken."""

    code = "RESOURCE_EXHAUSTED"
    reason = "MEMORY_SHORT"

    def __init__(self, needed: int, free: int) -> None:
        super().__init__(
            f"this takes about {needed / 1e6:.0f} MB of memory, and the server has {free / 1e6:.0f}; ask for a smaller "
            "picture"
        )
        self.metadata = {"needed_bytes": str(needed), "free_bytes": str(free)}


class ModelBroken(JobError):
    """A model folder that an operator named, and that cannot be served: who may load models is told what is wrong."""

    code = "FAILED_PRECONDITION"
    reason = "MODEL_BROKEN"


class ModelNameTaken(JobError):
    code = "ALREADY_EXISTS"
    reason = "MODEL_NAME_TAKEN"

    def __init__(self, name: str) -> None:
        super().__init__(f"name: model {name} lies in another folder; forget it first, or take another name")


class NoModelsRoot(JobError):
    code = "FAILED_PRECONDITION"
    reason = "NO_MODELS_ROOT"

    def __init__(self) -> None:
        super().__init__("folder: this server takes no new models; start it with --models-root DIR")


class LastModel(JobError):
    code = "FAILED_PRECONDITION"
    reason = "LAST_MODEL"

    def __init__(self, name: str) -> None:
        super().__init__(f"name: {name} is the only model here, and cannot be forgotten; unload it without `forget`")


class ModelUnloaded(JobError):
    """Nothing can be foreseen of a model that is not loaded."""

    code = "FAILED_PRECONDITION"
    reason = "MODEL_UNLOADED"

    def __init__(self, name: str) -> None:
        super().__init__(f"model {name} is not loaded, and how long it takes is not known; a drawing loads it")


class ModelRecovering(JobError):
    """A network of the model failed, and is being compiled again."""

    code = "UNAVAILABLE"
    reason = "MODEL_RECOVERING"
    retry_after = 5.0

    def __init__(self, name: str) -> None:
        super().__init__(f"model {name} failed and is being compiled anew")


class DeviceStuck(JobError):
    code = "UNAVAILABLE"
    reason = "DEVICE_STUCK"
    retry_after = 30.0

    def __init__(self, device: str) -> None:
        super().__init__(f"device {device} does not answer")


class InferenceFailed(JobError):
    """A network that failed. The text for clients is fixed: OpenVINO's own message goes to the log."""

    code = "INTERNAL"
    reason = "INFERENCE_FAILED"

    def __init__(self, network: str) -> None:
        super().__init__(f"network {network} failed; the job is lost, the server goes on")
        self.network = network


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


class StoreFull(JobError):
    """A job that was to be stored, and cannot be."""

    code = "RESOURCE_EXHAUSTED"
    reason = "STORE_FULL"
    retry_after = 30.0

    def __init__(self, cause: str) -> None:
        super().__init__(f"the job cannot be stored: {cause}; ask later, or without on_disconnect: KEEP")
