"""Reads the fields of a request, and collects every one that is bad: a client hears of all of them at once."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from safelight_server.errors import InvalidRequest, Violation


class FieldReader:
    """Wraps one message. Each method gives a field's checked value, or its default if it is bad or not set."""

    def __init__(self, message: Any, prefix: str = "", violations: list[Violation] | None = None) -> None:
        self.message = message
        self._prefix = prefix
        self.violations: list[Violation] = [] if violations is None else violations

    def part(self, name: str) -> FieldReader:
        """The reader of a message inside this one; its bad fields are counted here."""
        return FieldReader(getattr(self.message, name), f"{self._prefix}{name}.", self.violations)

    def has(self, name: str) -> bool:
        """Whether an optional field, or a message, is set."""
        return bool(self.message.HasField(name))

    def path(self, field: str) -> str:
        """The field's path in the whole request."""
        return self._prefix + field

    def bad(self, field: str, description: str) -> None:
        """Counts a bad field; the description says the rule and the value."""
        self.violations.append(Violation(self.path(field), description))

    def number(self, name: str, default: float, low: float, high: float) -> float:
        value = getattr(self.message, name) if self.has(name) else default
        if math.isfinite(value) and low <= value <= high:
            return float(value)
        self.bad(name, f"must be from {low:g} to {high:g}, not {value:g}")
        return default

    def integer(self, name: str, default: int, low: int, high: int, multiple: int = 1) -> int:
        value = getattr(self.message, name) if self.has(name) else default
        if low <= value <= high and value % multiple == 0:
            return int(value)
        rule = f"a multiple of {multiple} from {low} to {high}" if multiple > 1 else f"from {low} to {high}"
        self.bad(name, f"must be {rule}, not {value}")
        return default

    def text(self, name: str, longest: int) -> str:
        value = str(getattr(self.message, name))
        if len(value) <= longest:
            return value
        self.bad(name, f"must have at most {longest} characters, not {len(value)}")
        return ""

    def choice(self, name: str, default: str, among: Collection[str]) -> str:
        value = str(getattr(self.message, name)) or default
        if value in among:
            return value
        self.bad(name, f"must be one of {', '.join(among)}, not {value[:80]!r}")
        return default

    def finish(self) -> None:
        """Raises InvalidRequest if any field was bad."""
        if self.violations:
            raise InvalidRequest(self.violations)
