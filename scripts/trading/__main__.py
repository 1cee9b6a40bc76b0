"""Seconds against nearness to the exact picture, of all our ways to draw; see --help."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmark import machine

from . import page, plot
from .cases import CASES, FULL_SIZE
from .measuring import measure

USUAL = [name for name in CASES if name not in FULL_SIZE]
KEPT = "pareto"


def main(given: Sequence[str] | None = None) -> None:
    arguments = parser().parse_args(given)
    kept = page.read(arguments.output / f"{KEPT}.json")
    for name in arguments.on:
        print(f"{name}: {CASES[name].says}", file=sys.stderr, flush=True)
        facts = machine.facts() | machine.moment()
        points = measure(name, CASES[name], arguments.cache, arguments.rounds)
        kept[name] = page.Result(points, facts | {"after": machine.load()})
        write(arguments.output, kept)  # at once: the next case may take minutes
        print(page.section(name, kept[name]), flush=True)


def write(folder: Path, kept: dict[str, page.Result]) -> None:
    """Writes pareto.json, pareto.md and pareto.png."""
    folder.mkdir(parents=True, exist_ok=True)
    page.write(folder / f"{KEPT}.json", kept)
    (folder / f"{KEPT}.md").write_text(page.page(kept), encoding="utf-8")
    plot.draw(folder / f"{KEPT}.png", kept)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="pareto", description=__doc__)
    add = top.add_argument
    add("--on", nargs="+", default=USUAL, choices=CASES, help="which (the demo models)")
    add("--rounds", type=int, metavar="N", help="how often each way is timed (by case: 3 to 7)")
    add("--cache", type=Path, default=Path.home() / ".cache/safelight-bench", help="for models and logs (%(default)s)")
    add("--output", type=Path, default=Path("docs/benchmarks"), help="where results go, among older ones (%(default)s)")
    return top


if __name__ == "__main__":
    main()
