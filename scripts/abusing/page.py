"""The findings as a table, and the page that keeps the last run of every row."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from .finding import Finding
from .rows import ROWS, Row

HEAD = """\
# Under abuse

`scripts/abuse --write` starts a server of the demo models for each row, treats it roughly over loopback from other
processes, and writes this page. A control shows that a measure can fail, or that the abuse took place. Figures in
seconds are from machines that had other things to do: the load average (one minute, before and after) says how many
processes wanted a core.
"""


class Page(NamedTuple):
    """What stands above the rows, where they are kept, and which there may be, in this order."""

    head: str
    file: Path
    rows: Mapping[str, Row]


ABUSE = Page(HEAD, Path("docs/benchmarks/abuse.md"), ROWS)
TABLE = "| row | what | measured | goal | verdict |\n|---|---|---|---|---|\n"


@dataclass
class Result:
    """A row that was run, and on what."""

    name: str
    run: str
    findings: list[Finding] = field(default_factory=list)

    @staticmethod
    def now(name: str) -> Result:
        when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        return Result(name, f"{when}, {_processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")

    def finish(self, seconds: float) -> None:
        self.run += f" to {os.getloadavg()[0]:.1f}, {seconds:.0f} s"


def table(results: Iterable[Result]) -> str:
    lines = [
        f"| {result.name} | {finding.what} | {finding.measured} | {finding.goal} | {finding.verdict} |\n"
        for result in results
        for finding in result.findings
    ]
    return TABLE + "".join(lines)


def keep(file: Path, results: Iterable[Result], page: Page = ABUSE) -> None:
    """Writes these among the rows that the page has."""
    sections = _sections(file.read_text(encoding="utf-8")) if file.exists() else {}
    for result in results:
        title = f"## {result.name}: {page.rows[result.name].title}"
        sections[result.name] = f"{title}\n\n{result.run}.\n\n{table([result])}"
    ordered = [sections[name] for name in page.rows if name in sections]
    file.write_text("\n".join([page.head, *ordered]), encoding="utf-8")


def _sections(text: str) -> dict[str, str]:
    """The rows of a page: name → text."""
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    return {part[3:].split(":")[0]: part.rstrip() + "\n" for part in parts}


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    found = re.search(r"model name\s*: (.*)", text)
    return found.group(1) if found else "unknown processor"
