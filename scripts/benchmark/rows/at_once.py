"""Rows 4 and 9: several jobs at once; the peers behind a lock, and with a loaded copy for each thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from benchmark.asked import Asked
from benchmark.cases import Case
from benchmark.figures import Figure, Goal
from benchmark.peers import worker
from benchmark.peers.worker import Job
from benchmark.rounds import interleave
from benchmark.session import Session
from benchmark.summary import Summary, summary

from .against import fastest

GAP = 0.02  # seconds between two jobs: all at once, in a known order
AT_ONCE = 8
SHORT = 3
GOALS = {"vegart-256": (Goal(0.55), Goal(0.20), Goal(1.00))}  # over threads, over a lock, until all are done
TWICE = Goal(2.0, at_least=True)

Way = Callable[[int], list[float]]


def mixed(session: Session, case: Case) -> Iterator[Figure]:
    """One long job comes first, three short ones right after it: each tells when it was done."""
    checked = f"{session.check(case.long)}; {session.check(case.short)}"
    asked = partial(_mixed, case)
    done = interleave(
        {
            "safelight": partial(_ours, session, asked),
            "genai, threads": partial(_theirs, session, "genai", asked, SHORT),
            "genai, lock": partial(_theirs, session, "genai", asked, 0),
            "optimum, lock": partial(_theirs, session, "optimum", asked, 0),
        },
        min(case.rounds, 5),
        f"row 4, {case.name}",
    )
    session.close()  # the copies
    short = {way: summary([_waited(times) for times in rounds]) for way, rounds in done.items()}
    whole = {way: summary([max(times) for times in rounds]) for way, rounds in done.items()}
    locked = fastest(short, ("genai, lock", "optimum, lock"))
    share, lock, all_done = GOALS.get(case.name, (None, None, None))
    figure = partial(_over, case, checked)
    yield figure("short jobs' mean latency, over genai's in threads", short, "genai, threads", share)
    yield figure(f"short jobs' mean latency, over {locked}", short, locked, lock)
    peer = fastest(whole)
    yield figure(f"until all are done, over {peer}", whole, peer, all_done)


def eight(session: Session, case: Case) -> Iterator[Figure]:
    """Eight jobs of the short kind: how many a second."""
    checked = session.check(case.short)
    asked = partial(_eight, case)
    ways: dict[str, Way] = {"safelight": partial(_ours, session, asked)}
    for kind in ("genai", "optimum"):
        ways[f"{kind}, lock"] = partial(_theirs, session, kind, asked, 0)
        for copies in (2, 4, AT_ONCE):
            ways[f"{kind}, {copies} copies"] = partial(_theirs, session, kind, asked, copies)
    ways["optimum, one batch by hand"] = partial(_batch, session, asked)
    done = interleave(ways, case.rounds, f"row 9, {case.name}")
    session.close()
    whole = {way: summary([max(times) for times in rounds]) for way, rounds in done.items()}
    by_hand = "optimum, one batch by hand"
    peer = fastest(whole, [way for way in whole if way not in ("safelight", by_hand)])
    for name, way, goal in ((f"throughput over {peer}", peer, TWICE), (f"throughput over {by_hand}", by_hand, None)):
        value = whole[way].median / whole["safelight"].median
        yield Figure(9, name, case.name, value=value, goal=goal, samples=whole, checked=checked)


def _mixed(case: Case, number: int) -> list[Asked]:
    return [case.long.numbered(number), *(case.short.numbered(SHORT * number + at) for at in range(SHORT))]


def _eight(case: Case, number: int) -> list[Asked]:
    return [case.short.numbered(AT_ONCE * number + at) for at in range(AT_ONCE)]


def _waited(done: Sequence[float]) -> float:
    """The mean latency of the jobs after the first."""
    return sum(at - GAP * place for place, at in enumerate(done) if place) / (len(done) - 1)


def _ours(session: Session, asked: Callable[[int], list[Asked]], number: int) -> list[float]:
    return session.ours.together([(one, GAP * place) for place, one in enumerate(asked(number))])


def _theirs(session: Session, kind: str, asked: Callable[[int], list[Asked]], copies: int, number: int) -> list[float]:
    """`copies`: pipelines of each model, that the jobs share evenly; 0: one, behind a lock."""
    jobs = [Job(one, GAP * place, place % max(1, copies)) for place, one in enumerate(asked(number))]
    return session.peer(kind)(worker.together, jobs, not copies)


def _batch(session: Session, asked: Callable[[int], list[Asked]], number: int) -> list[float]:
    return [session.peer("optimum")(worker.batch, asked(number))]


def _over(case: Case, checked: str, name: str, samples: Mapping[str, Summary], peer: str, goal: Goal | None) -> Figure:
    value = samples["safelight"].median / samples[peer].median
    return Figure(4, name, case.name, value=value, goal=goal, samples=samples, checked=checked)
