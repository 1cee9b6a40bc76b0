"""What every error has: those that keep a server from starting, and those that a call ends with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple


class LoadError(Exception):
    """A model folder that cannot be served; the text is one line that says what is wrong with which file."""


class Violation(NamedTuple):
    """One bad field: its path in the request, and what is wrong: the rule and the value."""

    field: str
    description: str


class JobError(Exception):
    """A job that was refused or failed. `code` names a gRPC status, `reason` goes into google.rpc.ErrorInfo."""

    code = "INTERNAL"
    reason = "INTERNAL"
    retry_after: float | None = None  # seconds; None: trying again does not help
    violations: Sequence[Violation] = ()
    metadata: Mapping[str, str] = MappingProxyType({})


class Unexpected(JobError):
    """What is told of an error that nobody foresaw; its own text is for the log."""

    def __init__(self) -> None:
        super().__init__("the server failed on this job; its log says how")
