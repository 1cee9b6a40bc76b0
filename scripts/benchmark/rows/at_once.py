"""Rows 4 and 9: several callers at once; the peers behind a lock, and with a loaded copy for each thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from benchmark.cases import Case
from benchmark.figures import Figure, Goal
from benchmark.peers import worker
from benchmark.peers.worker import Caller
from benchmark.request import Request
from benchmark.rounds import interleave
from benchmark.session import Session
from benchmark.summary import Summary, summary

from .against import fastest

GAP = 0.02  # seconds between two callers of row 4: all at once, in a known order
SHORT = 3
# Steps of Vega's UNet (745 M weights) that are as much work as 20 of SDXL's (2.57 B): at 512 px some 166 s, here.
SDXL_LIKE = {"vegart-256": 50}
CALLERS, EACH = 8, 3  # of row 9: enough pictures each that coming and going do not count
GOALS = {"vegart-256": (Goal(0.55), Goal(0.20), Goal(1.00))}  # over threads, over a lock, until all are done
TWICE = Goal(2.0, at_least=True)
NO_ROOM = {"vegart-256": ("optimum, lock",)}  # in 24 GB, beside four pipelines of the other peer, which is faster there

Call = tuple[Sequence[Request], float]  # the requests of one caller, one after the other, and when it begins
Way = Callable[[int], list[float]]


def mixed(session: Session, case: Case) -> Iterator[Figure]:
    """One long job comes first, three short ones right after it; how long each takes."""
    checked = f"{session.check(case.long)}; {session.check(case.short)}"
    calls = partial(_mixed, case)
    ways: dict[str, Way] = {
        "safelight": partial(_ours, session, calls),
        "genai, threads": partial(_theirs, session, "genai", calls, SHORT),
        "genai, lock": partial(_theirs, session, "genai", calls, 0),
        "optimum, lock": partial(_theirs, session, "optimum", calls, 0),
    }
    for way in NO_ROOM.get(case.name, ()):
        del ways[way]
    done = interleave(ways, min(case.rounds, 5), f"row 4, {case.name}")
    session.close()  # the copies
    short = {way: summary([_waited(times) for times in rounds]) for way, rounds in done.items()}
    whole = {way: summary([max(times) for times in rounds]) for way, rounds in done.items()}
    locked = fastest(short, (way for way in ways if way.endswith("lock")))
    share, lock, all_done = GOALS.get(case.name, (None, None, None))
    figure = partial(_over, case, checked)
    yield figure("short jobs' mean latency, over genai's in threads", short, "genai, threads", share)
    yield figure(f"short jobs' mean latency, over {locked}", short, locked, lock)
    peer = fastest(whole)
    yield figure(f"until all are done, over {peer}", whole, peer, all_done)


def eight(session: Session, case: Case) -> Iterator[Figure]:
    """Eight callers, each with one short job after the other: how many jobs a second."""
    checked = session.check(case.short)
    calls = partial(_eight, case)
    ways: dict[str, Way] = {"safelight": partial(_ours, session, calls)}
    for peer in ("genai", "optimum"):
        ways[f"{peer}, lock"] = partial(_theirs, session, peer, calls, 0)
        ways[f"{peer}, {CALLERS} copies"] = partial(_theirs, session, peer, calls, CALLERS)
    ways["optimum, one batch by hand"] = partial(_batches, session, calls)
    done = interleave(ways, min(case.rounds, 4), f"row 9, {case.name}")
    session.close()
    whole = {way: summary([max(times) for times in rounds]) for way, rounds in done.items()}
    by_hand = "optimum, one batch by hand"
    peer = fastest(whole, [way for way in whole if way not in ("safelight", by_hand)])
    for name, way, goal in ((f"throughput over {peer}", peer, TWICE), (f"throughput over {by_hand}", by_hand, None)):
        value = whole[way].median / whole["safelight"].median
        yield Figure(9, name, case.name, value=value, goal=goal, samples=whole, checked=checked)


def _mixed(case: Case, number: int) -> list[Call]:
    long = replace(case.long, steps=SDXL_LIKE.get(case.name, case.long.steps))
    requests = [long.numbered(number), *(case.short.numbered(SHORT * number + at) for at in range(SHORT))]
    return [([one], GAP * place) for place, one in enumerate(requests)]


def _eight(case: Case, number: int) -> list[Call]:
    first = CALLERS * EACH * number
    return [([case.short.numbered(first + EACH * caller + at) for at in range(EACH)], 0.0) for caller in range(CALLERS)]


def _waited(done: Sequence[float]) -> float:
    """The mean latency of the jobs after the first."""
    return sum(at - GAP * place for place, at in enumerate(done) if place) / (len(done) - 1)


def _ours(session: Session, calls: Callable[[int], list[Call]], number: int) -> list[float]:
    return session.ours.together(calls(number))


def _theirs(session: Session, peer: str, calls: Callable[[int], list[Call]], copies: int, number: int) -> list[float]:
    """`copies`: how many pipelines of each model the callers share evenly; 0: one, behind a lock."""
    numbered = enumerate(calls(number))
    callers = [Caller(requests, start, place % max(1, copies)) for place, (requests, start) in numbered]
    return session.peer(peer)(worker.together, callers, not copies)


def _batches(session: Session, calls: Callable[[int], list[Call]], number: int) -> list[float]:
    """One picture of each caller in one call, as if the callers had waited for each other."""
    rounds = list(zip(*(requests for requests, _ in calls(number)), strict=True))
    return [session.peer("optimum")(worker.batches, rounds)]


def _over(case: Case, checked: str, name: str, samples: Mapping[str, Summary], peer: str, goal: Goal | None) -> Figure:
    value = samples["safelight"].median / samples[peer].median
    return Figure(4, name, case.name, value=value, goal=goal, samples=samples, checked=checked)
