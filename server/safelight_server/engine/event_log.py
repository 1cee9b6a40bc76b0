"""The events of one drawing, numbered: those that last, for whoever comes later, and the newest of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, NamedTuple, TypeVar

from safelight_server.events import LASTING, Event

from .mailbox import Item

T = TypeVar("T", covariant=True)
BLOCK = 1000  # numbers that are reserved at a time: after a crash, none is given that may have been told


class Numbered(NamedTuple, Generic[T]):
    """What was told, and its number in the job."""

    sequence: int
    item: T


def _nothing(*_: object) -> None: ...


class EventLog:
    """`keep` stores an event that lasts; `reserve` stores that all numbers up to this one may have been given.

    One that goes on begins with `lasting`, what was stored before, and after number `last`.
    """

    def __init__(
        self,
        keep: Callable[[int, Event], None] = _nothing,
        reserve: Callable[[int], None] = _nothing,
        lasting: Iterable[Numbered[Any]] = (),
        last: int = 0,
    ) -> None:
        self._keep, self._reserve = keep, reserve
        self.lasting: list[Numbered[Item]] = list(lasting)
        self.last = last
        self._reserved = last
        self._newest: dict[type, Numbered[Item]] = {}
        self._reserve_more()

    def add(self, item: Item) -> Numbered[Item]:
        """Numbers what happened."""
        self.last += 1
        numbered = Numbered(self.last, item)
        if isinstance(item, LASTING):
            self.lasting.append(numbered)
            self._newest.clear()
            self._keep(self.last, item)
        else:
            self._newest[type(item)] = numbered
        self._reserve_more()
        return numbered

    def since(self, after: int) -> list[Numbered[Item]]:
        """The lasting ones after a number, then the newest of the others that came since the last of these."""
        newest = sorted(self._newest.values(), key=lambda numbered: numbered.sequence)
        return [numbered for numbered in (*self.lasting, *newest) if numbered.sequence > after]

    def count(self, *kinds: type) -> int:
        """How many of these last."""
        return sum(isinstance(item, kinds) for _, item in self.lasting)

    def newest(self, kind: type) -> Item | None:
        """The last one of a kind that does not last, if nothing that lasts came after it."""
        newest = self._newest.get(kind)
        return newest.item if newest else None

    def _reserve_more(self) -> None:
        if self.last + BLOCK // 2 >= self._reserved:
            self._reserved = self.last + BLOCK
            self._reserve(self._reserved)
