"""The server is killed again and again while it draws one to eight jobs: what is lost, and what is done twice."""

from __future__ import annotations

import random
import re
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from abusing.finding import Effort, Finding, at_least, at_most, percentile
from abusing.process import Server

from job_figures.asking import KINDS, draw, submit
from job_figures.history import History
from job_figures.serving import Connection, place

GOES_ON = re.compile(r"job (\w+) goes on: picture (\d+) after step (\d+) ?(.*)")
ENOUGH = 300.0  # seconds for the jobs that are left in the end
TIME = 1200.0  # seconds for the kills of a kind: a machine that has too much else to do kills less often
LONG = {"width": 512, "height": 512, "steps": 14}  # steps of 0.4 s and more
OF_TWO = [KINDS["handoff"], KINDS["base"]]  # models
OF_ONE = [fields for fields in KINDS.values() if "refiner" not in fields]
SLOW = [{**KINDS[name], **LONG} for name in ("base", "ancestral", "multistep")]


@dataclass
class Tally:
    """What the kills of a run have come to."""

    kills: int = 0
    jobs: int = 0
    together: set[int] = field(default_factory=set)  # how many jobs there were at a kill
    other: int = 0  # jobs whose pixels differ from those of an undisturbed run
    wrong: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)  # warnings of jobs that began again
    twice: list[int] = field(default_factory=list)  # steps, of each job and kill
    step_times: list[float] = field(default_factory=list)


def measure(effort: Effort) -> Iterator[Finding]:
    told = Tally()
    killed(told, OF_ONE, ["base"], effort.pick(65, 2), 8, 2.5)
    killed(told, OF_TWO, ["base", "refiner"], effort.pick(25, 1), 8, 2.5)
    slow = Tally()
    killed(slow, SLOW, ["base"], effort.pick(10, 1), 1, 4.0)
    yield at_least("kills while there were jobs", told.kills + slow.kills, effort.pick(100, 4), control=True)
    many = f"jobs that were killed ({min(told.together)} to {max(told.together)} at once)"
    yield at_least(many, told.jobs + slow.jobs, 1, control=True)
    yield at_most("jobs with other pixels than undisturbed", told.other + slow.other, 0)
    yield at_most("jobs with a lasting event twice, missing or out of order", len(told.wrong + slow.wrong), 0)
    yield at_most("pictures that began again with a warning", len(told.again + slow.again), 0)
    step = 1000 * percentile(told.step_times, 0.5)
    name = f"steps of {step:.0f} ms done twice (checkpoints are some steps apart): median {percentile(told.twice, 0.5)}"
    yield Finding(name, f"{max(told.twice)} at most", "told", True)
    step = 1000 * percentile(slow.step_times, 0.5)
    yield at_least("the steps of the slow jobs, median", step, 400, " ms", control=True)
    yield at_most(f"steps done twice of these: median {percentile(slow.twice, 0.5)}, the most", max(slow.twice), 1)


def killed(told: Tally, kinds: list[dict[str, Any]], models: list[str], count: int, most: int, longest: float) -> None:
    """Kills a server so many times, at most `longest` seconds after it was ready, with up to `most` jobs at once."""
    chance, kills, began = random.Random(count), 0, time.monotonic()
    jobs: list[tuple[History, dict[str, Any]]] = []
    with place(*models) as here:
        with here.serve() as (_, connection):
            alone = {id(fields): draw(connection, fields) for fields in kinds}
        while kills < count and time.monotonic() - began < TIME:
            with here.serve() as (server, connection):
                _note_what_goes_on(server, jobs, told)
                threads = [history.listening(connection) for history, _ in jobs]
                if not jobs:
                    fresh = [chance.choice(kinds) for _ in range(chance.randint(1, most))]
                    jobs = [(History(submit(connection, fields)), fields) for fields in fresh]
                    threads = [history.listening(connection) for history, _ in jobs]
                    told.jobs += len(jobs)
                time.sleep(chance.uniform(0.1, longest))
                server.signal(signal.SIGKILL)
                server.process.wait()
                for thread in threads:
                    thread.join(10)
            left = [(history, fields) for history, fields in jobs if not history.is_over]
            kills += bool(left)
            told.kills += bool(left)
            told.together |= {len(left)} - {0}
            _close([pair for pair in jobs if pair not in left], alone, told)
            jobs = left
            print(f"  {told.kills} kills, {told.jobs} jobs, {told.wrong}", file=sys.stderr, flush=True)
        with here.serve() as (server, connection):
            _note_what_goes_on(server, jobs, told)
            _finish(connection, [history for history, _ in jobs])
            _close(jobs, alone, told)


def _note_what_goes_on(server: Server, jobs: list[tuple[History, dict[str, Any]]], told: Tally) -> None:
    found = {match[1]: match for match in map(GOES_ON.search, server.log().splitlines()) if match}
    for history, _ in jobs:
        match = found.get(history.job_id)
        if match is None:
            continue  # it had ended, and nobody had heard of it
        (image, step), steps = history.at, history.steps
        done, kept = image * steps + step, (int(match[2]) - 1) * steps + int(match[3])
        told.twice.append(max(0, done - kept))
        if match[4]:
            told.again.append(match[4])


def _finish(connection: Connection, histories: list[History]) -> None:
    threads = [history.listening(connection) for history in histories]
    end = time.monotonic() + ENOUGH
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))


def _close(jobs: list[tuple[History, dict[str, Any]]], alone: dict[int, list[str]], told: Tally) -> None:
    """Jobs that are over."""
    for history, fields in jobs:
        told.other += history.pictures != alone[id(fields)]
        told.wrong += history.wrong(len(alone[id(fields)]))
        told.step_times += history.step_times
