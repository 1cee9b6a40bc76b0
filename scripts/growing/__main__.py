"""How cost grows with streams, models, waiting jobs and pixels, on real servers of the demo models; see --help."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmark import machine

from . import page, plot, results
from .lines import LINES
from .point import Measured, measure

ROUNDS = 2  # they take turns; a line takes minutes


def main(given: Sequence[str] | None = None) -> None:
    arguments = parser().parse_args(given)
    kept = results.read(arguments.output / "growth.json")
    with tempfile.TemporaryDirectory(prefix="safelight-growth-compiled-") as compiled:
        for name in arguments.lines:
            points = arguments.points or (LINES[name].quick if arguments.quick else LINES[name].points)
            for result in grow(name, points, 1 if arguments.quick else arguments.rounds, Path(compiled)):
                kept[name] = result
                write(arguments.output, kept)  # at once: the next point may take minutes
            print(page.section(name, kept[name]), flush=True)


def grow(name: str, points: Sequence[int], rounds: int, compiled: Path) -> Iterator[results.Result]:
    """All points of a line in turns, each round beginning with another; after each, what is known so far."""
    facts, before, began = machine.facts(), machine.moment(), time.monotonic()
    taken: dict[int, list[Measured]] = {point: [] for point in points}
    for number in range(rounds):
        first = number % len(points)
        for point in (*points[first:], *points[:first]):
            print(f"{name}, round {number + 1} of {rounds}: {point}", file=sys.stderr, flush=True)
            taken[point].append(measure(LINES[name].work(point), compiled))
            after = {"after": machine.load(), "seconds": round(time.monotonic() - began), "rounds": number + 1}
            medians = {point: results.middle(measured) for point, measured in taken.items() if measured}
            yield results.Result(medians, {**facts, **before, **after})


def write(folder: Path, kept: dict[str, results.Result]) -> None:
    """Writes growth.json, growth.md and growth.png."""
    folder.mkdir(parents=True, exist_ok=True)
    results.write(folder / "growth.json", kept)
    (folder / "growth.md").write_text(page.page(kept), encoding="utf-8")
    plot.draw(folder / "growth.png", kept)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="growth", description=__doc__)
    add = top.add_argument
    add("--lines", nargs="+", default=list(LINES), choices=LINES, help="which (all)")
    add("--points", type=int, nargs="+", metavar="N", help="other points than the line's own")
    add("--rounds", type=int, default=ROUNDS, metavar="N", help="how often each point is measured (%(default)s)")
    add("--quick", action="store_true", help="three small points of each line, once: two minutes")
    add("--output", type=Path, default=Path("docs/benchmarks"), help="where results go, among older ones (%(default)s)")
    return top


if __name__ == "__main__":
    main()
