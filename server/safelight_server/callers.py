"""Who is calling, and what they may do: known for the whole of a call, and for all that is begun in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum

from .errors import RightMissing


class Right(StrEnum):
    """What a caller may do. Each includes those before it."""

    READ = "read"  # see the models and their own jobs
    DRAW = "draw"  # make jobs, and end their own
    ADMIN = "admin"  # all of that with everybody's jobs, and change what the server serves


@dataclass(frozen=True)
class Caller:
    """Somebody with a name. Jobs belong to whoever made them."""

    name: str
    rights: Collection[Right]

    def check(self, right: Right) -> None:
        """Raises RightMissing."""
        if right not in self.rights:
            raise RightMissing(self.name, right)

    @property
    def sees_all(self) -> bool:
        return Right.ADMIN in self.rights

    def sees(self, owner: str) -> bool:
        """Whether the jobs of `owner` are there for them."""
        return owner == self.name or self.sees_all


EVERYBODY = Caller("", frozenset(Right))  # where there are no tokens, and the server itself

calling: ContextVar[Caller] = ContextVar("calling", default=EVERYBODY)


LONGEST = {"traceparent": 256, "tracestate": 512}  # characters; W3C: at least so many of tracestate are passed on


@dataclass(frozen=True, eq=False)
class Trace:
    """What a call says of the trace that it is part of: W3C's two headers, as they came. Each call has its own."""

    parent: str = ""
    state: str = ""


UNTRACED = Trace()

tracing: ContextVar[Trace] = ContextVar("tracing", default=UNTRACED)


def trace_in(headers: Iterable[tuple[str, object]]) -> Trace:
    """What these headers say, whose names are in small letters. One that is too long counts as not sent."""
    sent: dict[str, list[str]] = {name: [] for name in LONGEST}
    for name, value in headers:
        if name in sent and isinstance(value, str):
            sent[name].append(value)
    whole = ((",".join(values), LONGEST[name]) for name, values in sent.items())  # as HTTP joins them
    return Trace(*(text if len(text) <= most else "" for text, most in whole))
