"""Row 1: one exact request, over gRPC, to the bytes of a PNG; the peers draw into memory and make no file."""

from __future__ import annotations

from collections.abc import Iterator

from benchmark.cases import Case
from benchmark.figures import Figure, Goal
from benchmark.session import Session

from .against import beside_peers

GOALS = {"vegart-256": Goal(1.02), "vegart-512": Goal(1.01)}


def measure(session: Session, case: Case) -> Iterator[Figure]:
    """Safelight's time over the faster peer's."""
    checked = session.check(case.short)
    ours = {"safelight": lambda n: session.ours.draw(case.short.numbered(n))}
    samples, peer = beside_peers(session, f"row 1, {case.name}", ours, case.short, case.rounds)
    yield Figure(
        1,
        f"latency over {peer}'s",
        case.name,
        value=samples["safelight"].median / samples[peer].median,
        goal=GOALS.get(case.name),
        samples=samples,
        note=f"of the least times: {samples['safelight'].least / samples[peer].least:.3f}x",
        checked=checked,
    )
