"""What a call asks for beside the drawing, read from its message: the same for every door."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from safelight_server.contract import stored, terms
from safelight_server.contract.request_fields import priority_of
from safelight_server.engine.job_record import Ask
from safelight_server.jobs import OnDisconnect


class Call(NamedTuple):
    """One call of a door. `id` is a new job's; `caller` shares the server with others; `deadline` is when it leaves."""

    id: str
    caller: object = None
    deadline: float | None = None


def ask_for(asked: Any, call: Call, default: OnDisconnect = OnDisconnect.CANCEL) -> Ask:
    """`asked` is a request with terms in it."""
    told = terms.of(asked, default)
    digest = stored.digest(asked) if told.request_id else b""
    return Ask(told, digest, partial(stored.pack, asked), call.caller, call.deadline, priority_of(asked))
