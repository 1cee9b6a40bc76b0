"""What a check has found: one line, with what to do where something is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import NamedTuple

from safelight_server.errors import LoadError


class Mark(StrEnum):
    """How a line begins; it is read without colours."""

    OK = "ok"
    WARNING = "warning"  # it would start
    FAILED = "FAILED"  # it would not


class Finding(NamedTuple):
    mark: Mark
    subject: str  # an option as it was given, or what is looked at
    text: str

    def __str__(self) -> str:
        return f"{self.mark:8} {self.subject}: {self.text}" if self.subject else f"{self.mark:8} {self.text}"


def ok(subject: str, text: str) -> Finding:
    return Finding(Mark.OK, subject, text)


def warning(subject: str, text: str) -> Finding:
    return Finding(Mark.WARNING, subject, text)


def failed(subject: str, text: str) -> Finding:
    return Finding(Mark.FAILED, subject, text)


class Refused:
    """The finding of a part of the server that refused, if it did."""

    finding: Finding | None = None


@contextmanager
def refusal(subject: str) -> Iterator[Refused]:
    """What the server would refuse to start with is a finding, and the next check goes on."""
    refused = Refused()
    try:
        yield refused
    except (LoadError, OSError) as error:
        refused.finding = failed(*_once(subject, str(error)))


def _once(subject: str, text: str) -> tuple[str, str]:
    """Most refusals name the option, or its file, themselves."""
    kind, _, value = subject.rpartition(" ")
    if text.startswith(f"{subject}:"):
        return subject, text.removeprefix(f"{subject}:").strip()
    return (kind, text) if value and text.startswith(f"{value}:") else (subject, text)
