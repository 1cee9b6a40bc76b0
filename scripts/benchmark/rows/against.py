"""Times our ways beside the peers' on one request; a figure is held against the faster peer, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from benchmark.figures import summaries
from benchmark.peers import worker
from benchmark.peers.process import PEERS
from benchmark.request import Request
from benchmark.rounds import interleave
from benchmark.session import Session
from benchmark.summary import Summary

Way = Callable[[int], float]  # seconds, of the round of this number
Work = Callable[[Request], float]  # a function of `worker`


def beside_peers(
    session: Session, label: str, ours: Mapping[str, Way], request: Request, rounds: int, work: Work = worker.draw
) -> tuple[dict[str, Summary], str]:
    """The times of our ways and of each peer's `work` on the request, taken in turns; and the faster peer."""
    peers = {name: partial(_once, session, name, work, request) for name in PEERS}
    samples = summaries(interleave({**ours, **peers}, rounds, label))
    return samples, fastest(samples)


def _once(session: Session, name: str, work: Work, request: Request, number: int) -> float:
    return session.peer(name)(work, request.numbered(number))


def fastest(samples: Mapping[str, Summary], ways: Iterable[str] | None = None) -> str:
    """The way with the least median: of these, or of all that are not ours."""
    others = list(ways) if ways is not None else [name for name in samples if not name.startswith("safelight")]
    return min(others, key=lambda name: samples[name].median)
