"""What a call says of its job beside the drawing: its id, what becomes of it without callers, how long it is kept."""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple, cast

from .arguments import DrawOptions

GRACE = 60.0  # seconds that a job waits for a caller whose link is lost
RETAIN = 600.0  # seconds that it is kept after its end, so that such a caller finds it


class Asked(NamedTuple):
    """The options with all that a call needs which goes on after a lost link, and how it behaves."""

    options: DrawOptions
    resumes: bool  # goes on after a lost link
    cancels: bool  # says goodbye when its user leaves: to a server, leaving and a lost link look alike
    is_plain: bool  # the job ends with the call, as servers have it by themselves


def asked(options: DrawOptions, resume: bool) -> Asked:
    """What a call that draws asks for. A job that is to end with its caller is not resumed."""
    policy = options.get("on_disconnect")
    resumes = resume and policy != "cancel"
    plain = policy == "cancel" or (policy is None and not resumes)
    return Asked(_minted(options) if resumes else options, resumes, policy is None and resumes, plain)


def with_id(options: DrawOptions) -> DrawOptions:
    """The options of a job that is asked for once, however often the request is sent."""
    return cast(DrawOptions, {"request_id": new_id()} | _given(options))


def new_id() -> str:
    return str(uuid.uuid4())


def _minted(options: DrawOptions) -> DrawOptions:
    short = {"on_disconnect": "grace", "grace": GRACE, "retain": RETAIN}
    usual = {} if options.get("on_disconnect") == "keep" else short
    return cast(DrawOptions, usual | with_id(options))


def _given(options: DrawOptions) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
