"""Models that come and go: what is told of one that is not there, and to operators."""

from __future__ import annotations

from .kinds import JobError


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
            f"model {name} takes about {needed / 1e9:.2f} GB, and does not fit: the server may have {limit / 1e9:.2f} "
            f"GB (--memory-limit, or what there is), and has {taken / 1e9:.2f} GB without it"
        )
        self.metadata = {"needed_bytes": str(needed), "limit_bytes": str(limit)}


class ModelUnloaded(JobError):
    """Nothing can be foreseen of a model that is not loaded."""

    code = "FAILED_PRECONDITION"
    reason = "MODEL_UNLOADED"

    def __init__(self, name: str) -> None:
        super().__init__(f"model {name} is not loaded, and how long it takes is not known; a drawing loads it")


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
