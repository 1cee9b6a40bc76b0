"""Who is calling, and what they may do: known for the whole of a call, and for all that is begun in it."""

from __future__ import annotations

from collections.abc import Collection
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
