"""A server under abuse, row by row: goal, measured, verdict. See --help."""

from __future__ import annotations

import argparse
import signal
import sys
import time
import traceback
from pathlib import Path

from . import page
from .finding import Effort, Finding
from .rows import ROWS


def main() -> int:
    arguments = parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended, too
    results = []
    for name in arguments.rows:
        results.append(measured(name, Effort(arguments.quick)))
        if arguments.write:
            page.keep(arguments.output, results[-1:])  # at once: the next row may take minutes
    print(page.table(results))
    return 0 if all(finding.met for result in results for finding in result.findings) else 1


def measured(name: str, effort: Effort) -> page.Result:
    """The row's findings; if it fails, one that says why."""
    print(f"{name}: {ROWS[name].title}", file=sys.stderr, flush=True)
    result, began = page.Result.now(name), time.monotonic()
    try:
        for finding in ROWS[name].measure(effort):
            line = f"  {finding.what}: {finding.measured} ({finding.goal}) {finding.verdict}"
            print(line, file=sys.stderr, flush=True)
            result.findings.append(finding)
    except Exception as error:
        traceback.print_exc()
        told = f"{type(error).__name__}: {error}".splitlines()[0]
        result.findings.append(Finding("the row", told, "is measured", False))
    result.finish(time.monotonic() - began)
    return result


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="abuse", description=__doc__)
    add = top.add_argument
    add("--rows", nargs="+", default=list(ROWS), choices=ROWS, metavar="NAME", help="which (all): " + ", ".join(ROWS))
    add("--quick", action="store_true", help="small counts: some seconds a row, once its server has started")
    add("--write", action="store_true", help="keep the rows that ran, among the older ones, in OUTPUT")
    add("--output", type=Path, default=Path("docs/benchmarks/abuse.md"), help="(%(default)s)")
    return top


if __name__ == "__main__":
    sys.exit(main())
