"""Safelight beside its peers, in ten rows; see --help."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from . import build, folders, machine, report, table, weights
from .cases import CASES, Case
from .figures import Figure
from .peers import native
from .rows import ROWS
from .session import Session

QUICK = 6  # rounds: five minutes in all


def main() -> None:
    arguments = parser().parse_args()
    precision = arguments.precision or machine.best_precision()
    cases = [CASES[name] for name in (["demo"] if arguments.quick else arguments.on)]
    if rounds := arguments.rounds or (QUICK if arguments.quick else None):
        cases = [replace(case, rounds=rounds) for case in cases]
    new: list[Figure] = []
    for case in cases:
        rows = [row for row in arguments.rows if case.name in ROWS[row].cases]
        if rows:
            with session(case, precision, arguments.cache, arguments.models_folder) as running:
                for row in rows:
                    figures = list(measure(running, case, row))
                    keep(figures, arguments.output, precision)  # at once: the next row may take half an hour
                    new += figures
    print(table.goals(new))
    print(f"written: {report.path(arguments.output, machine.facts())}, its page, its plot, the index", file=sys.stderr)


def keep(figures: Sequence[Figure], output: Path, precision: str) -> None:
    """Writes the figures among those of earlier runs."""
    facts = machine.facts() | {"precision": precision}
    report.write(output, facts, report.merge(report.read(report.path(output, facts)), figures))


def session(case: Case, precision: str, cache: Path, models: Path | None) -> Session:
    """A session of the case; models that are not there are built."""
    models = models or cache / "models"
    build.ensure(case.models, models)
    if any(name in weights.CHECKPOINTS for name in case.models):
        native.ensure(cache)
    logs = cache / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    return Session(folders.find(case.models, models, cache / "peers"), precision, logs)


def measure(running: Session, case: Case, row: int) -> Iterator[Figure]:
    """The figures of a row; if it failed, one that says why."""
    before, began = machine.moment(), time.monotonic()
    print(f"row {row}, {case.name}: {ROWS[row].title}", file=sys.stderr, flush=True)
    try:
        figures = list(ROWS[row].measure(running, case))
    except Exception as error:
        traceback.print_exc()
        figures = [Figure(row, "", case.name, failed=f"{type(error).__name__}: {error}")]
    run = before | {"after": machine.load(), "seconds": round(time.monotonic() - began)}
    for figure in figures:
        print(f"  {figure.name}: {figure.text()} {figure.failed}", file=sys.stderr, flush=True)
        yield figure.during(run)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="bench", description=__doc__)
    add = top.add_argument
    add("--quick", action="store_true", help="the demo models alone: five minutes on two cores")
    add("--rows", type=int, nargs="+", default=list(ROWS), choices=ROWS, metavar="N", help="which (all)")
    add("--on", nargs="+", default=list(CASES), choices=CASES, help="which models and sizes (all)")
    add("--rounds", type=int, metavar="N", help="how often each way is timed (by case: 5 to 20)")
    add("--precision", choices=("bf16", "f32"), help="of the arithmetic, for all (what the CPU itself would choose)")
    add("--cache", type=Path, default=Path.home() / ".cache/safelight-bench", help="for models and logs (%(default)s)")
    add("--models-folder", type=Path, help="where vegart and vegart-int8 are, or will be built (CACHE/models)")
    add("--output", type=Path, default=Path("docs/benchmarks"), help="where results go, among older ones (%(default)s)")
    return top


if __name__ == "__main__":
    main()
