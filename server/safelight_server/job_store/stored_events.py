"""Events as the job store has them: their kind, their fields as JSON, and their file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from safelight_server.events import LASTING, Event
from safelight_server.jobs import Acceleration

KINDS: Mapping[str, type[Any]] = {kind.__name__: kind for kind in LASTING}
TUPLES = ("size", "seeds", "warnings")  # fields that JSON has as lists


def to_row(event: Event) -> tuple[str, str, bytes]:
    """(kind, body, data) of an event that lasts."""
    fields = asdict(event)
    data: bytes = fields.pop("data", b"")
    return type(event).__name__, json.dumps(fields), data


def from_row(kind: str, body: str, data: bytes) -> Event:
    fields: dict[str, Any] = json.loads(body)
    fields |= {name: tuple(fields[name]) for name in TUPLES if name in fields}
    if "acceleration" in fields:
        fields["acceleration"] = Acceleration(**fields["acceleration"])
    if kind in ("Image", "Rested"):
        fields["data"] = data
    event: Event = KINDS[kind](**fields)
    return event
