"""How large an answer may be, and how large it will probably be: what the caller cannot take is refused, not drawn."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from itertools import pairwise

from safelight_server.errors import InvalidRequest, JobError, Violation
from safelight_server.jobs import Job

from .calls import Context

KEY = "safelight-max-response-bytes"
DEFAULT = 4 * 2**20  # what every gRPC library takes by itself
SMALLEST = 4096
REST = 1024  # bytes of an answer, and of a picture in it, that are no file
TEXTS = 3  # times the request: as JSON, and as A1111 writes it, in two bytes a letter

# Bytes per pixel of a picture's file. Photographs take 1.3 to 1.8 as PNG and demo pictures 1.0 to 1.6; an estimate for
# noise, 3.0, would refuse twice what it ought to. JPEG and WebP: a little more than the busiest photograph takes.
PNG = 1.9
BY_QUALITY: dict[str, Sequence[tuple[int, float]]] = {
    "jpeg": ((1, 0.05), (30, 0.12), (75, 0.24), (90, 0.4), (95, 0.55), (100, 1.0)),
    "webp": ((1, 0.05), (30, 0.12), (75, 0.2), (90, 0.35), (95, 0.45), (100, 0.6)),
}


class AnswerTooLarge(JobError):
    """An answer that the caller cannot take; the text names both ways out: a smaller answer, or a larger limit."""

    code = "INVALID_ARGUMENT"
    reason = "ANSWER_TOO_LARGE"

    def __init__(self, job: Job | None, prefix: str, size: int, limit: int, *, drawn: bool) -> None:
        seen = "has grown to" if drawn else "would probably have"
        ways = "set max_image_bytes" if prefix else "call Stream, which sends each picture alone"
        super().__init__(
            f"the answer {seen} {size} bytes, and this caller takes {limit}: ask for fewer or smaller pictures or for "
            f"JPEG, or {ways}; or raise the caller's limit, and say so with the metadata {KEY}"
        )
        self.violations = [Violation(prefix + field, rule) for field, rule in (_causes(job, limit) if job else ())]
        self.metadata = {"bytes": str(size), "limit": str(limit)}


def limit_of(context: Context) -> int:
    """Bytes that the caller takes in one message. Raises InvalidRequest for what is no number of bytes."""
    told = dict(context.invocation_metadata() or ()).get(KEY)
    if told is None:
        return DEFAULT
    text = str(told)
    if not (text.isascii() and text.isdigit() and len(text) < 16 and int(text) >= SMALLEST):
        raise InvalidRequest([Violation(KEY, f"must be a number of bytes from {SMALLEST}, not {text[:80]!r}")])
    return int(text)


def file_size(job: Job) -> int:
    """Bytes that one picture's file will probably have."""
    output, pixels = job.output, job.size[0] * job.size[1]
    text = TEXTS * len(json.dumps(job.recipe))
    if output.format == "png":
        return round(PNG * pixels) + text
    return round(_between(BY_QUALITY[output.format], output.quality) * pixels) + min(text, 2**16)


def check(job: Job, limit: int) -> None:
    """Raises AnswerTooLarge for a job whose pictures will probably not fit into one answer of `limit` bytes."""
    size = REST + len(job.seeds) * (file_size(job) + REST)
    if size > limit:
        raise AnswerTooLarge(job, "", size, limit, drawn=False)


def check_drawn(job: Job | None, size: int, limit: int, prefix: str = "") -> None:
    """Raises AnswerTooLarge for a message that has turned out too large all the same; `job` if its fields are known."""
    if size > limit:
        raise AnswerTooLarge(job, prefix, size, limit, drawn=True)


def check_pictures(job: Job, limit: int, prefix: str) -> None:
    """Raises AnswerTooLarge for a job of which one picture will probably not fit into a message of `limit` bytes."""
    size = REST + file_size(job)
    if size > limit:
        raise AnswerTooLarge(job, prefix, size, limit, drawn=False)


def piece_size(asked: int, limit: int) -> int:
    """Bytes of a picture that go into one message, for a reader who asked for at most so many; 0: it asked for none."""
    return min(asked, limit - REST) if asked else sys.maxsize


def _causes(job: Job, limit: int) -> list[tuple[str, str]]:
    (height, width), each, count = job.size, file_size(job) + REST, len(job.seeds)
    fitting = max(0, (limit - REST) // each)
    causes = []
    if 0 < fitting < count:
        causes.append(
            ("num_images", f"{count} pictures of about {each} bytes are too many: {fitting} of them would fit")
        )
    causes.append(("width", f"a picture of {width} x {height} has about {each} bytes"))
    if job.output.format == "png":
        causes.append(("output", "JPEG and WebP are a fifth of a PNG, or less"))
    return causes


def _between(points: Sequence[tuple[int, float]], at: int) -> float:
    """The value at `at`, on the straight line between the two points around it."""
    for (left, low), (right, high) in pairwise(points):
        if at <= right:
            return low + (high - low) * (at - left) / (right - left)
    return points[-1][1]
