"""Row 10: from the start of a process to its first picture, and the memory of two models."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing

from benchmark.asked import Asked
from benchmark.cases import Case
from benchmark.environment import environment
from benchmark.figures import Figure, Goal, summaries
from benchmark.memory import Memory, Peak
from benchmark.ours import Ours
from benchmark.peers.process import KINDS
from benchmark.rounds import interleave
from benchmark.session import Session

from .against import fastest

SOON = {"vegart-256": Goal(0.6)}
SMALL = {"vegart-256": Goal(0.75)}


def measure(session: Session, case: Case) -> Iterator[Figure]:
    """The files have been read before: all find them in the page cache."""
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
        told = "start to first picture" + name.removeprefix("safelight")
        value = samples[name].median / samples[peer].median
        yield Figure(10, f"{told}, over {peer}'s", case.name, value=value, goal=goal, samples=samples, checked=checked)
    yield _memory(session, case)


def _memory(session: Session, case: Case) -> Figure:
    """The most that is taken while both models are loaded and draw, once each."""
    asked = case.pair
    peaks = {"safelight": _peak_of_ours(session, asked)}
    peaks |= {kind: _peak_of_theirs(session, kind, asked) for kind in KINDS}
    peer = min(KINDS, key=lambda kind: peaks[kind].total)
    told = ", ".join(
        f"{name} {most.total / 1e9:.2f} GB ({most.anonymous / 1e9:.2f} without files' pages)"
        for name, most in peaks.items()
    )
    return Figure(
        10,
        f"peak memory of two models, over {peer}'s",
        case.name,
        value=peaks["safelight"].total / peaks[peer].total,
        goal=SMALL.get(case.name),
        note=f"{' and '.join(one.model for one in asked)}; PSS: {told}",
    )


def _ours(session: Session, case: Case, *options: str) -> float:
    began = time.perf_counter()
    with closing(Ours(session.server(case.short.model, options=options))) as ours:
        ours.draw(case.short)
        return time.perf_counter() - began


def _peak_of_ours(session: Session, asked: Sequence[Asked]) -> Memory:
    server = session.server(*(one.model for one in asked))
    with Peak(server.process.pid) as peak, closing(Ours(server)) as ours:
        for one in asked:
            ours.draw(one)
    return peak.most


def _theirs(session: Session, kind: str, *asked: Asked) -> float:
    """A program that imports the peer, loads a pipeline for each picture, and draws it."""
    began = time.perf_counter()
    with _program(session, kind, asked) as process:
        _wait(process, kind)
        return time.perf_counter() - began


def _peak_of_theirs(session: Session, kind: str, asked: Sequence[Asked]) -> Memory:
    with _program(session, kind, asked) as process, Peak(process.pid) as peak:
        _wait(process, kind)
    return peak.most


def _program(session: Session, kind: str, asked: Sequence[Asked]) -> subprocess.Popen[str]:
    pictures = [[str(session.models[one.model].peers), one.edge, one.steps, one.guidance] for one in asked]
    command = [sys.executable, "-m", "benchmark.peers.first", kind, session.precision, json.dumps(pictures)]
    with (session.logs / f"{kind}.log").open("ab") as log:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment())


def _wait(process: subprocess.Popen[str], kind: str) -> None:
    assert process.stdout
    if process.stdout.readline().strip() != "drawn":
        raise RuntimeError(f"{kind} ended before its first picture, with exit code {process.wait()}")
