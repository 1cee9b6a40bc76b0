"""Requests that are refused for what they say, or for who says it."""

from __future__ import annotations

from collections.abc import Sequence

from .kinds import JobError, Violation


class InvalidRequest(JobError):
    """A request with bad fields; `violations` names all of them."""

    code = "INVALID_ARGUMENT"
    reason = "INVALID_REQUEST"

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("; ".join(f"{violation.field}: {violation.description}" for violation in violations))
        self.violations = violations


class ModelNotFound(JobError):
    """A request, in its field `field`, for a model that is not served."""

    code = "NOT_FOUND"
    reason = "MODEL_NOT_FOUND"

    def __init__(self, field: str, name: str, served: Sequence[str]) -> None:
        super().__init__(f"{field}: no model {name[:80]!r} here; there is {', '.join(served)}")
        self.violations = [Violation(field, f"must be one of {', '.join(served)}, not {name[:80]!r}")]
        self.metadata = {"field": field, "served_models": ", ".join(served)}


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
