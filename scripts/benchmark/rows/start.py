"""Row 10: from the start of a process to its first picture, and the memory of two models."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing

from benchmark.cases import Case
from benchmark.environment import environment
from benchmark.figures import Figure, Goal, summaries
from benchmark.memory import Memory, Peak
from benchmark.ours import Ours
from benchmark.peers.kinds import PEERS
from benchmark.request import Request
from benchmark.rounds import interleave
from benchmark.session import Session

from .against import fastest

SOON = {"vegart-256": Goal(0.6)}
SMALL = {"vegart-256": Goal(0.75)}


def measure(session: Session, case: Case) -> Iterator[Figure]:
    """The check has read all files before, so that all systems find them in the page cache."""
    checked = session.check(case.short)
    session.close()
    cache = f"--cache-dir={session.logs / 'compiled'}"
    times = interleave(
        {
            "safelight": lambda n: _ours(session, case, cache),
            "safelight, nothing cached": lambda n: _ours(session, case),
            "genai": lambda n: _theirs(session, "genai", case.short),
            "optimum": lambda n: _theirs(session, "optimum", case.short),
        },
        max(2, min(case.rounds // 3, 5)),
        f"row 10, {case.name}",
    )
    samples = summaries(times)
    peer = fastest(samples)
    for name, goal in (("safelight", SOON.get(case.name)), ("safelight, nothing cached", None)):
        what = "start to first picture" + name.removeprefix("safelight")
        value = samples[name].median / samples[peer].median
        yield Figure(10, f"{what}, over {peer}'s", case.name, value=value, goal=goal, samples=samples, checked=checked)
    yield _memory(session, case)


def _memory(session: Session, case: Case) -> Figure:
    """The most memory while both models are loaded and each draws once."""
    requests = case.pair
    peaks = {"safelight": _peak_of_ours(session, requests)}
    peaks |= {name: _peak_of_theirs(session, name, requests) for name in PEERS}
    peer = min(PEERS, key=lambda name: peaks[name].total)
    figures = ", ".join(
        f"{name} {most.total / 1e9:.2f} GB ({most.anonymous / 1e9:.2f} without files' pages)"
        for name, most in peaks.items()
    )
    return Figure(
        10,
        f"peak memory of two models, over {peer}'s",
        case.name,
        value=peaks["safelight"].total / peaks[peer].total,
        goal=SMALL.get(case.name),
        note=f"{' and '.join(one.model for one in requests)}; PSS: {figures}",
    )


def _ours(session: Session, case: Case, *options: str) -> float:
    began = time.perf_counter()
    with closing(Ours(session.server(case.short.model, options=options))) as ours:
        ours.draw(case.short)
        return time.perf_counter() - began


def _peak_of_ours(session: Session, requests: Sequence[Request]) -> Memory:
    server = session.server(*(one.model for one in requests))
    with Peak(server.process.pid) as peak, closing(Ours(server)) as ours:
        for one in requests:
            ours.draw(one)
    return peak.most


def _theirs(session: Session, peer: str, *requests: Request) -> float:
    """A program that imports the peer, loads a pipeline for each picture, and draws it."""
    began = time.perf_counter()
    with _program(session, peer, requests) as process:
        _wait(process, peer)
        return time.perf_counter() - began


def _peak_of_theirs(session: Session, peer: str, requests: Sequence[Request]) -> Memory:
    with _program(session, peer, requests) as process, Peak(process.pid) as peak:
        _wait(process, peer)
    return peak.most


def _program(session: Session, peer: str, requests: Sequence[Request]) -> subprocess.Popen[str]:
    pictures = [[str(session.models[one.model].peers), one.edge, one.steps, one.guidance] for one in requests]
    command = [sys.executable, "-m", "benchmark.peers.first", peer, session.precision, json.dumps(pictures)]
    with (session.logs / f"{peer}.log").open("ab") as log:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment())


def _wait(process: subprocess.Popen[str], peer: str) -> None:
    assert process.stdout
    if process.stdout.readline().strip() != "drawn":
        raise RuntimeError(f"{peer} ended before its first picture, with exit code {process.wait()}")
