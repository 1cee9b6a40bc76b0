"""Times our ways beside the peers' on one request; a figure is held against the faster peer, row by row."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from functools import partial

from benchmark.figures import summaries
from benchmark.peers import worker
from benchmark.peers.kinds import PEERS
from benchmark.request import Request
from benchmark.rounds import interleave
from benchmark.session import Session
from benchmark.summary import Summary, summary

Way = Callable[[int], float]  # seconds, of the round of this number
Work = Callable[[Request], float]  # a function of `worker`
HEAT = 2  # pictures of a peer alone, after one that does not count


def beside_peers(
    session: Session, label: str, ours: Mapping[str, Way], request: Request, rounds: int, work: Work = worker.draw
) -> tuple[dict[str, Summary], str]:
    """The times of our ways and of each peer's `work` on the request, taken in turns; and the fastest peer.

    The others of full size do not all fit into the memory. Of them, only the one comes that was fastest alone.
    """
    alone = heat(session, request) if work is worker.draw else {}
    names = [*PEERS, *sorted(alone, key=lambda name: alone[name].median)[:1]]
    peers = {name: partial(_once, session, name, work, request) for name in names}
    samples = summaries(interleave({**ours, **peers}, rounds, label))
    best = fastest(samples, names)
    return samples | {f"{name}, alone": taken for name, taken in alone.items()}, best


def heat(session: Session, request: Request) -> dict[str, Summary]:
    """The seconds of each other peer, one after the other and nothing beside; of those that fail, a word on stderr."""
    if others := session.others(request.model):
        session.close()  # a full-size model of ours and two of theirs are in the memory
    found = {}
    for name in others:
        with closing(session.new_peer(name)) as peer:
            try:
                times = [peer(worker.draw, request.numbered(number)) for number in range(1 + HEAT)]
                found[name] = summary(times[1:])
            except Exception as error:  # of any library
                print(f"  {name} is left out: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    return found


def _once(session: Session, name: str, work: Work, request: Request, number: int) -> float:
    return session.peer(name)(work, request.numbered(number))


def fastest(samples: Mapping[str, Summary], ways: Iterable[str] | None = None) -> str:
    """The way with the least median: of these, or of all that are not ours."""
    others = list(ways) if ways is not None else [name for name in samples if not name.startswith("safelight")]
    return min(others, key=lambda name: samples[name].median)
