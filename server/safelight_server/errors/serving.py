"""What a server cannot do now, or cannot do to its end: it comes or goes, a device or a network fails."""

from __future__ import annotations

from .kinds import JobError


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
