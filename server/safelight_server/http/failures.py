"""What goes wrong, as HTTP tells it: a status for each error, and in each door's own form."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from safelight_server.errors import InvalidRequest, JobError, Unexpected, Violation
from safelight_server.observer import SILENT, Observer

DOOR = "http"  # as observers know it

STATUSES = {
    "INVALID_ARGUMENT": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "FAILED_PRECONDITION": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,  # nginx's: no client takes it for a reason to try again
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


# A browser asks its user for a name and a password: the password is the token.
ASK = 'Bearer, Basic realm="Safelight: any name, and your token as the password", charset="UTF-8"'


class TooLarge(JobError):
    """A body, or a part of one, that was not read to its end."""

    code = "INVALID_ARGUMENT"
    reason = "TOO_LARGE"
    status = 413

    def __init__(self, most: int, what: str = "body") -> None:
        super().__init__(f"{what}: must have at most {most} bytes")
        self.violations = [Violation(what, f"must have at most {most} bytes")]


class TooSlow(JobError):
    """A body that stopped coming."""

    code = "DEADLINE_EXCEEDED"
    reason = "BODY_TOO_SLOW"
    status = 408

    def __init__(self, seconds: float) -> None:
        super().__init__(f"nothing of the request's body came for {seconds:g} s")


class BodiesWaiting(JobError):
    """As much is being read as may be, of all requests together."""

    code = "RESOURCE_EXHAUSTED"
    reason = "BODIES_WAITING"
    retry_after = 2.0

    def __init__(self) -> None:
        super().__init__("too much is being uploaded; try again in 2 s")


class ForeignHost(JobError):
    """A request that was meant for another server, or that a page of another host sends through a name of its own."""

    code = "PERMISSION_DENIED"
    reason = "FOREIGN_HOST"

    def __init__(self, host: str) -> None:
        super().__init__(f"Host must be the address that this server listens on, or localhost, not {host[:80]!r}")


class ForeignOrigin(JobError):
    """A page of another host that asks for something to be changed here."""

    code = "PERMISSION_DENIED"
    reason = "FOREIGN_ORIGIN"

    def __init__(self, origin: str) -> None:
        super().__init__(f"Origin must be this server, not {origin[:80]!r}: pages of other hosts change nothing here")


class Gone(JobError):
    """Whoever asked has left; nobody reads this."""

    code = "CANCELLED"
    reason = "CALLER_GONE"


def bad(field: str, rule: str) -> InvalidRequest:
    """One bad field."""
    return InvalidRequest([Violation(field, rule)])


def in_words(error: JobError, words: Mapping[str, str]) -> JobError:
    """The error, with a caller's own names for the bad fields."""
    named = (Violation(words.get(name, name), rule) for name, rule in error.violations)
    error.violations = list(dict.fromkeys(named))  # width and height may both be the size
    if isinstance(error, InvalidRequest):
        error.args = ("; ".join(f"{name}: {rule}" for name, rule in error.violations),)
    return error


def status_of(error: JobError) -> int:
    return int(getattr(error, "status", STATUSES[error.code]))


def api_form(error: JobError) -> dict[str, Any]:
    """The form of the page's own interface."""
    told: dict[str, Any] = {"code": error.code, "reason": error.reason, "message": str(error)}
    told["fields"] = dict(error.violations)
    if error.metadata:
        told["details"] = dict(error.metadata)
    if error.retry_after is not None:
        told["retryAfter"] = error.retry_after
    return {"error": told}


def retry_headers(error: JobError) -> dict[str, str]:
    """When to try again, as browsers and the SDKs read it."""
    if error.retry_after is None:
        return {}
    return {
        "retry-after": str(max(1, round(error.retry_after))),
        "retry-after-ms": str(round(error.retry_after * 1000)),
    }


def _api(error: JobError, status: int) -> Response:
    return Json(api_form(error), status, retry_headers(error))


class Json(JSONResponse):
    """In ASCII: what is told of a request may have what UTF-8 has not."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content).encode()


Form = Callable[[JobError, int], Response]


class Failures:
    """Answers an error in the form of the door whose path it was asked by; `forms` are by the paths' beginnings."""

    def __init__(self, forms: Mapping[str, Form], observer: Observer = SILENT) -> None:
        self._forms, self._observer = forms, observer

    def handlers(self) -> dict[Any, Any]:
        """For Starlette."""
        return {JobError: self.job_error, HTTPException: self.http_error, Exception: self.unexpected}

    def answer(self, error: JobError, path: str, status: int | None = None) -> Response:
        self._observer.call_refused(DOOR, error.reason)
        form = next((form for start, form in self._forms.items() if path.startswith(start)), _api)
        answer = form(error, status_of(error) if status is None else status)
        if answer.status_code == 401:
            answer.headers["www-authenticate"] = ASK
        return answer

    async def job_error(self, request: Request, error: JobError) -> Response:
        return self.answer(error, request.url.path)

    async def http_error(self, request: Request, error: HTTPException) -> Response:
        """Paths and methods that there are not, and what Starlette cannot read."""
        told = JobError(f"{request.method} {request.url.path[:200]}: {error.detail}")
        told.code = "NOT_FOUND" if error.status_code in (404, 405) else "INVALID_ARGUMENT"
        told.reason = str(error.detail).upper().replace(" ", "_")[:40]
        return self.answer(told, request.url.path, error.status_code)

    async def unexpected(self, request: Request, error: Exception) -> Response:
        return self.answer(Unexpected(), request.url.path)
