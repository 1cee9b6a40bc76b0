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


def main(prog: str = "abuse", says: str | None = __doc__, kept: page.Page = page.ABUSE) -> int:
    arguments = parser(prog, says, kept).parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended, too
    results = []
    for name in arguments.rows:
        results.append(measured(name, Effort(arguments.quick), kept))
        if arguments.write:
            page.keep(arguments.output, results[-1:], kept)  # at once: the next row may take minutes
    print(page.table(results))
    return 0 if all(finding.met for result in results for finding in result.findings) else 1


def measured(name: str, effort: Effort, kept: page.Page = page.ABUSE) -> page.Result:
    """The row's findings; if it fails, one that says why."""
    row = kept.rows[name]
    print(f"{name}: {row.title}", file=sys.stderr, flush=True)
    result, began = page.Result.now(name), time.monotonic()
    try:
        for finding in row.measure(effort):
            line = f"  {finding.what}: {finding.measured} ({finding.goal}) {finding.verdict}"
            print(line, file=sys.stderr, flush=True)
            result.findings.append(finding)
    except Exception as error:
        traceback.print_exc()
        told = f"{type(error).__name__}: {error}".splitlines()[0]
        result.findings.append(Finding("the row", told, "is measured", False))
    result.finish(time.monotonic() - began)
    return result


def parser(prog: str, says: str | None, kept: page.Page) -> argparse.ArgumentParser:
    top, rows = argparse.ArgumentParser(prog=prog, description=says), kept.rows
    add = top.add_argument
    add("--rows", nargs="+", default=list(rows), choices=rows, metavar="NAME", help="which (all): " + ", ".join(rows))
    add("--quick", action="store_true", help="small counts: some seconds a row, once its server has started")
    add("--write", action="store_true", help="keep the rows that ran, among the older ones, in OUTPUT")
    add("--output", type=Path, default=kept.file, help="(%(default)s)")
    return top


if __name__ == "__main__":
    sys.exit(main())
