"""Deadlines met in a mixed load, against threads that take turns at one pipeline by a lock, on the same jobs."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple

import grpc
from abusing.finding import Effort, Finding, at_least
from safelight.v1 import images_pb2 as images

from job_figures.asking import request
from job_figures.serving import ALL, Connection, connect, place

LOAD = 1.3  # of what the server can do: not all can be met
SLACK = (2.0, 8.0)  # times what the job takes alone
CALLERS = 6
SIZES = ((64, 8, 0.7), (256, 12, 0.3))  # edge, steps, share of the jobs


class Asked(NamedTuple):
    arrival: float  # seconds after the beginning
    deadline: float  # seconds after the arrival
    request: images.GenerateRequest


def measure(effort: Effort) -> Iterator[Finding]:
    chance = random.Random(11)
    with place("base") as here, here.serve("--queue=300") as (server, connection):
        alone = [_alone(connection, edge, steps) for edge, steps, _ in SIZES]
        jobs = _jobs(chance, alone, effort.pick(120, 12))
        callers = [connect(server.address) for _ in range(CALLERS)]
        met = _played(jobs, callers, tells=True, lock=nullcontext())
        by_lock = _played(jobs, callers, tells=False, lock=threading.Lock())
        again = _played(jobs, callers, tells=True, lock=nullcontext())
    share, before = 50 * (met + again) / len(jobs), 100 * by_lock / len(jobs)
    yield at_least("deadlines missed by threads and a lock", 100 - before, 10, " %", control=True)
    told = f"{share:.0f} % of {len(jobs)} against {before:.0f} %"
    yield at_least(f"deadlines met ({told}), points more", share - before, 40)


def _jobs(chance: random.Random, alone: list[float], count: int) -> list[Asked]:
    mean = sum(seconds * share for seconds, (*_, share) in zip(alone, SIZES, strict=True))
    at, jobs = 0.0, []
    for seed in range(count):
        at += chance.expovariate(LOAD / mean)
        kind = chance.choices(range(len(SIZES)), [share for *_, share in SIZES])[0]
        jobs.append(Asked(at, alone[kind] * chance.uniform(*SLACK), _request(seed, *SIZES[kind][:2])))
    return jobs


def _played(jobs: list[Asked], callers: list[Connection], *, tells: bool, lock: Any) -> int:
    """How many came in time. `tells`: the server hears the deadline; if not, it draws what nobody waits for, too."""
    began, met = time.monotonic(), []

    def ask(place: int, job: Asked) -> None:
        end = began + job.arrival + job.deadline
        with lock:
            left = end - time.monotonic()
            if _code(callers[place % CALLERS], job, max(0.001, left) if tells else None) == "OK":
                met.append(time.monotonic() <= end)

    threads = []
    for number, job in enumerate(jobs):
        time.sleep(max(0.0, began + job.arrival - time.monotonic()))
        threads.append(threading.Thread(target=ask, args=(number, job), daemon=True))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return sum(met)


def _code(caller: Connection, job: Asked, timeout: float | None) -> str:
    try:
        caller.images.Generate(job.request, timeout=timeout, metadata=ALL)
    except grpc.RpcError as error:
        return str(error)
    return "OK"


def _alone(connection: Connection, edge: int, steps: int) -> float:
    """Seconds of such a job, the median of three after a first one."""
    took = []
    for seed in range(900, 904):
        began = time.monotonic()
        connection.images.Generate(_request(seed, edge, steps), metadata=ALL)
        took.append(time.monotonic() - began)
    return sorted(took[1:])[1]


def _request(seed: int, edge: int, steps: int) -> images.GenerateRequest:
    asked = request({"width": edge, "height": edge, "steps": steps, "seed": seed})
    assert isinstance(asked, images.GenerateRequest)
    return asked
