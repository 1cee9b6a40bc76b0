"""Plays made-up jobs under several scheduling policies, the server's own function among them, and prints the figures.

A lane is a device: it runs one inference at a time, to its end, and chooses the next among all jobs at each boundary.
Times are simulated; the same options give the same figures.
"""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from tqdm import tqdm

from . import figures, plot, tuning
from .events import play
from .lanes import Run
from .policies import Policy, to_compare
from .traces import Arrivals, Job, Traffic

EXAMPLES = """examples:
  scripts/simulate                              both kinds of arrivals, five policies, a plot: a quarter of a minute
  scripts/simulate --load 1.1 --speeds 1        one device with more work than it can do
  scripts/simulate --gains 2:1.3 4:1.8 8:3      a device on which joined steps pay
  scripts/simulate --tune                       the constants of the policy varied, one at a time
"""
PAGE = Path("docs/benchmarks/lanes.md")
MARK = "<!-- Below: scripts/simulate --write -->\n"


def main(arguments: Sequence[str] | None = None) -> None:
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = parser().parse_args(given)
    traffic = Traffic(
        jobs=options.jobs,
        load=options.load,
        speeds=tuple(options.speeds),
        deadlines=options.deadlines,
        leaving=options.leaving,
        error=options.error,
        seed=options.seed,
    )
    played = {
        arrivals: play_all(arrivals, replace(traffic, arrivals=arrivals), to_compare(dict(options.gains)))
        for arrivals in options.arrivals
    }
    parts = [f"Made by `{shlex.join(['scripts/simulate', *given])}`, seed {traffic.seed}. {figures.UNITS}"]
    parts += [part for arrivals, rows in played.items() for part in sections(arrivals, rows)]
    if options.tune:
        parts += [
            part for arrivals in options.arrivals for part in tuning_sections(replace(traffic, arrivals=arrivals))
        ]
    text = "\n\n".join(parts) + "\n"
    print(text)
    plot.draw(played, PAGE.with_suffix(".png") if options.write else options.plot)
    if options.write:
        PAGE.write_text(PAGE.read_text(encoding="utf-8").partition(MARK)[0] + MARK + "\n" + text, encoding="utf-8")


def play_all(label: str, traffic: Traffic, policies: Iterable[Policy]) -> dict[str, list[Run]]:
    """The runs of one trace under each policy, by its name."""
    jobs = traffic.trace()
    return {policy.name: _play(f"{label}: {policy.name}", jobs, traffic, policy) for policy in policies}


def _play(label: str, jobs: Sequence[Job], traffic: Traffic, policy: Policy) -> list[Run]:
    with tqdm(total=len(jobs), desc=label, unit="job", leave=False, disable=None) as bar:
        return play(jobs, [policy.lane() for _ in traffic.speeds], inline=policy.inline, on_end=bar.update)


def sections(arrivals: str, rows: dict[str, list[Run]]) -> Iterator[str]:
    yield f"## {arrivals.capitalize()} arrivals"
    yield figures.table(rows, figures.BY_LENGTH)
    yield figures.table(rows, figures.BY_PRIORITY)


def tuning_sections(traffic: Traffic) -> Iterator[str]:
    yield f"## The constants, one varied at a time: {traffic.arrivals} arrivals"
    for constant in tuning.VARIED:
        rows = play_all(f"{traffic.arrivals}, {constant}", traffic, tuning.variants(constant))
        yield figures.table(rows, tuning.COLUMNS, corner=f"`{constant}`")


def positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError
    return value


def share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError
    return value


def count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def gain(text: str) -> tuple[int, float]:
    """STEPS:COST"""
    steps, _, cost = text.partition(":")
    if int(steps) < 2 or not 0 < float(cost) <= int(steps):
        raise ValueError
    return int(steps), float(cost)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="simulate", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = top.add_argument
    add("--jobs", type=count, default=Traffic.jobs, help="(%(default)s)")
    add(
        "--load",
        type=positive,
        default=Traffic.load,
        help="work that comes in over what the lanes can do (%(default)s)",
    )
    add(
        "--arrivals",
        nargs="+",
        choices=get_args(Arrivals),
        default=list(get_args(Arrivals)),
        metavar="KIND",
        help="%(choices)s (both)",
    )
    add(
        "--speeds",
        nargs="+",
        type=positive,
        default=list(Traffic.speeds),
        metavar="X",
        help="of the lanes, as multiples of two CPU cores; each serves every model (1 2 4)",
    )
    add("--deadlines", type=share, default=Traffic.deadlines, metavar="SHARE", help="of jobs (%(default)s)")
    add("--leaving", type=share, default=Traffic.leaving, metavar="SHARE", help="whose client goes away (%(default)s)")
    add("--error", type=float, default=Traffic.error, help="standard deviation of log(estimate) (%(default)s)")
    add(
        "--gains",
        nargs="+",
        type=gain,
        default=[],
        metavar="STEPS:COST",
        help="adds a row where joined steps of one model cost so many times a single one (none)",
    )
    add("--seed", type=int, default=Traffic.seed, help="(%(default)s)")
    add("--tune", action="store_true", help="also vary the constants of the policy")
    add("--plot", type=Path, default=Path("out/lanes.png"), help="latencies by policy and class (%(default)s)")
    add("--write", action="store_true", help=f"into {PAGE}, below its mark, and the plot beside it")
    return top


if __name__ == "__main__":
    main()
