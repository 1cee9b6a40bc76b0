"""Which peer a figure is held against: the better one, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from benchmark.asked import Asked
from benchmark.peers.process import KINDS
from benchmark.session import Session
from benchmark.summary import Summary


def peers(session: Session, work: Callable[[Asked], float], asked: Asked) -> dict[str, Callable[[int], float]]:
    """Each peer's way of doing a worker's `work`, round by round."""
    return {kind: partial(_once, session, kind, work, asked) for kind in KINDS}


def _once(session: Session, kind: str, work: Callable[[Asked], float], asked: Asked, number: int) -> float:
    return session.peer(kind)(work, asked.numbered(number))


def fastest(samples: Mapping[str, Summary], ways: Iterable[str] | None = None) -> str:
    """Of these ways, or of all that are not ours, the one with the least median."""
    others = list(ways) if ways is not None else [name for name in samples if not name.startswith("safelight")]
    return min(others, key=lambda name: samples[name].median)
