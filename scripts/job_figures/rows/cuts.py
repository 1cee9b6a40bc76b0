"""Links are cut and clients are killed while they listen to jobs, and they attach again after what they have heard."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import safelight
from abusing.finding import Effort, Finding, at_least, at_most
from support.cut_link import cut_link

from job_figures.asking import LASTING, submit
from job_figures.history import History
from job_figures.serving import Connection, connected, place

FIELDS: dict[str, Any] = {"width": 64, "height": 64, "steps": 40, "num_images": 3}
PICTURES = 3
AT_ONCE = 4  # listeners
SEEDS = count(1)  # jobs that draw the same would be one drawing
LEAST, MOST = 150, 20_000  # bytes of a connection; nothing is heard in the fewest, and a picture has some thousands
SDK: dict[str, Any] = {
    "model": "base",
    "prompt": "a red apple",
    "steps": 40,
    "width": 64,
    "height": 64,
    "num_images": 3,
    "seed": 5,
}
EVENTS = (safelight.Started, safelight.ImageDone, safelight.Rested, safelight.Resumed, safelight.Done)


def measure(effort: Effort) -> Iterator[Finding]:
    cuts, kills, own = effort.pick((860, 40, 100), (20, 2, 5))
    with place("base") as here, here.serve() as (server, connection):
        told = _together(cuts, lambda lot: _follow(server.address, connection, lot))
        yield at_least("attachments, each cut at a random byte", told["attachments"], cuts, control=True)
        yield at_least("of these, after which something had been heard", told["heard"], cuts // 10, control=True)
        yield at_most(f"lasting events twice, missing or out of order, in {told['jobs']} jobs", told["wrong"], 0)
        yield at_least("doubles heard by one who attaches from the beginning", told["doubles"], 1, control=True)
        told = _together(kills, lambda lot: _killed(server.address, connection, lot))
        yield at_least("client processes killed while they listened", told["attachments"], kills, control=True)
        yield at_most(f"lasting events twice, missing or out of order, in {told['jobs']} jobs", told["wrong"], 0)
        told = _by_sdk(server.address, own)
        yield at_least("cuts that the SDK went on after by itself", told["attachments"], own, control=True)
        yield at_most(f"streams with other events or files than undisturbed, of {told['jobs']}", told["wrong"], 0)


def _together(wanted: int, follow: object) -> Counter[str]:
    """Some listeners at once, with a job each, then the next ones, until there were so many attachments."""
    told: Counter[str] = Counter()
    assert callable(follow)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while told["attachments"] < wanted:
            for one in pool.map(follow, [next(SEEDS) for _ in range(AT_ONCE)]):
                told += one
    return told


def _follow(address: str, connection: Connection, lot: int) -> Counter[str]:
    """A job from its beginning to its end, over links that are cut."""
    chance, told = random.Random(lot), Counter[str](jobs=1)
    history = History(submit(connection, {**FIELDS, "seed": lot}))
    with cut_link(address, (int(LEAST * (MOST / LEAST) ** chance.random()) for _ in itertools.count())) as link:
        while not history.is_over:
            before = history.last
            with connected(link.address) as cut:
                history.listen(cut)
            told["attachments"] += 1
            told["heard"] += history.last > before
    told["wrong"] += len(history.wrong(PICTURES))
    history.listen(connection, after=0)
    told["doubles"] += history.doubled
    return told


def _killed(address: str, connection: Connection, lot: int) -> Counter[str]:
    """The same with clients that are killed at a random moment."""
    chance, told = random.Random(lot), Counter[str](jobs=1)
    history = History(submit(connection, {**FIELDS, "seed": lot, "steps": 120}))
    while not history.is_over:
        words = [sys.executable, "-m", "job_figures.follower", address, history.job_id, str(history.last)]
        client = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert client.stdout
        client.stdout.readline()
        time.sleep(chance.uniform(0, 1))
        client.kill()
        told["attachments"] += 1
        lines = client.communicate()[0].split("\n")[:-1]  # the last one may be cut
        for number, kind in (line.split() for line in lines):
            history.doubled += int(number) <= history.last
            history.last = max(history.last, int(number))
            if kind in LASTING:
                history.lasting.append((int(number), kind))
    told["wrong"] += len(history.wrong(PICTURES))
    return told


def _by_sdk(address: str, wanted: int) -> Counter[str]:
    """Streams of the SDK, over links whose first connections are cut."""
    chance, told = random.Random(7), Counter[str]()
    with safelight.Client(address) as client:
        undisturbed = client.generate(**SDK).files
    while told["attachments"] < wanted:
        cuts = [chance.randrange(60, 12_000) for _ in range(4)]
        with cut_link(address, cuts) as link, safelight.Client(link.address) as client:
            with client.stream(**SDK) as stream:
                names = [type(event).__name__ for event in stream if isinstance(event, EVENTS)]
                same = stream.final().files == undisturbed
            told["attachments"] += link.cut
        told["jobs"] += 1
        told["wrong"] += names != ["Started", *["ImageDone"] * PICTURES, "Done"] or not same
    return told
