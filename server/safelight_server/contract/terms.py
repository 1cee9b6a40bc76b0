"""What a request says of the job beside the drawing: its id, what comes of it without callers, how long it is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from safelight.v1 import images_pb2 as pb

from safelight_server.jobs import OnDisconnect, Terms

from .field_reader import FieldReader

FIELDS = ("request_id", "on_disconnect", "grace", "retain", "stop_at_step", "wait_for_model")
LONGEST_ID = 36
GRACE, MOST_GRACE = 60.0, 24 * 3600.0  # seconds
RETAIN, MOST_RETAIN = 24 * 3600.0, 30 * 24 * 3600.0
POLICIES = {
    pb.ON_DISCONNECT_CANCEL: OnDisconnect.CANCEL,
    pb.ON_DISCONNECT_GRACE: OnDisconnect.GRACE,
    pb.ON_DISCONNECT_KEEP: OnDisconnect.KEEP,
}


def of(message: Any, default: OnDisconnect = OnDisconnect.CANCEL) -> Terms:
    """The terms in a message; for what is bad, the default: whoever makes the plan tells all that is bad."""
    return read(FieldReader(message), default)


def read(fields: FieldReader, default: OnDisconnect = OnDisconnect.CANCEL) -> Terms:
    """The terms; what is bad is counted in `fields`. `default` is for a request that says nothing of its callers."""
    terms = Terms(_policy(fields, default), _seconds(fields, "grace", GRACE, MOST_GRACE), 0.0, _request_id(fields))
    retain = _seconds(fields, "retain", RETAIN if terms.lasts else 0.0, MOST_RETAIN)
    return replace(terms, retain=retain, wait_for_model=_waits(fields))


def _waits(fields: FieldReader) -> bool:
    return bool(fields.message.wait_for_model) if fields.has("wait_for_model") else True


def _request_id(fields: FieldReader) -> str:
    request_id = str(fields.message.request_id)
    if len(request_id) <= LONGEST_ID and all("!" <= letter <= "~" for letter in request_id):
        return request_id
    fields.bad("request_id", f"must have at most {LONGEST_ID} printable ASCII characters, not {request_id[:80]!r}")
    return ""


def _policy(fields: FieldReader, default: OnDisconnect) -> OnDisconnect:
    policy = fields.message.on_disconnect
    if policy and policy not in POLICIES:
        fields.bad("on_disconnect", f"must be one of {', '.join(pb.OnDisconnect.keys())}, not {policy}")
    return POLICIES.get(policy, default)


def _seconds(fields: FieldReader, name: str, default: float, most: float) -> float:
    if not fields.has(name):
        return default
    duration = getattr(fields.message, name)
    seconds = float(duration.seconds + duration.nanos / 1e9)
    if 0 <= seconds <= most:
        return seconds
    fields.bad(name, f"must be from 0 to {most:g} s, not {seconds:g} s")
    return default
