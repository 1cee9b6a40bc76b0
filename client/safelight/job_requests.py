"""The messages of JobService that have several fields; what is None is not sent."""

from __future__ import annotations

import reprlib
from typing import Any, TypedDict, TypeVar

from .arguments import DrawOptions
from .image_input import ImageInput, file_bytes
from .job_status import state_named
from .requests import stream_request
from .terms import new_id, with_id
from .v1 import jobs_pb2 as pb

PAGE = 50  # jobs in one answer


class Changes(TypedDict, total=False):
    """What a fork changes; what is left out, or None, stays as it was."""

    prompt: str | None
    negative_prompt: str | None
    guidance_scale: float | None
    seed: int | None
    model: str | None
    scheduler: str | None


def submit_request(
    prompt: str, image: ImageInput | None, mask: ImageInput | None, strength: float | None, options: DrawOptions
) -> pb.SubmitRequest:
    """The message for these arguments, with an id of its own. Raises what stream_request raises."""
    return _either(pb.SubmitRequest, prompt, image, mask, strength, with_id(options))


def estimate_request(
    prompt: str, image: ImageInput | None, mask: ImageInput | None, strength: float | None, options: DrawOptions
) -> pb.EstimateRequest:
    """As submit_request."""
    return _either(pb.EstimateRequest, prompt, image, mask, strength, options)


def fork_request(
    job_id: str, step: int | None, image_index: int, stop_at_step: int | None, changes: Changes
) -> pb.ForkRequest:
    """The message for these arguments. Raises TypeError or ValueError, with the name, for what it cannot hold."""
    request = pb.ForkRequest(job_id=job_id, request_id=new_id())
    _set(request, step=step, image_index=image_index, stop_at_step=stop_at_step)
    _set(request.changes, **changes)
    return request


def list_request(state: str | None, model: str | None, token: str) -> pb.ListJobsRequest:
    """The message for a page. Raises ValueError for a state that there is not."""
    named: Any = {"state": state_named(state)} if state else {}
    return pb.ListJobsRequest(page_size=PAGE, page_token=token, model=model or "", **named)


def verify_request(file: Any, image: Any, mask: Any) -> pb.VerifyRequest:
    """The message for these files, which must be those that were there. Raises what file_bytes raises."""
    return pb.VerifyRequest(file=_bytes_of(file), image=_bytes_of(image), mask=_bytes_of(mask))


def _bytes_of(source: Any) -> bytes:
    data = b"" if source is None else file_bytes(source)
    if data is None:
        raise TypeError(
            f"the receipt is of a file: a path, bytes, an open file or a Picture, not {type(source).__name__}"
        )
    return data


Request = TypeVar("Request", pb.SubmitRequest, pb.EstimateRequest)


def _either(
    kind: type[Request], prompt: str, image: Any, mask: Any, strength: float | None, options: DrawOptions
) -> Request:
    drawn = stream_request(prompt, image, mask, strength, None, options)
    method = drawn.WhichOneof("request") or ""
    either: dict[str, Any] = {method: getattr(drawn, method)}
    return kind(**either)


def _set(message: Any, **values: Any) -> None:
    for name, value in values.items():
        if value is None:
            continue
        try:
            setattr(message, name, value)
        except (TypeError, ValueError) as fault:
            raise type(fault)(f"{name}={reprlib.repr(value)}: {fault}") from None
