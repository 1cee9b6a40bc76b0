"""Jobs that outlive their callers, row by row: goal, measured, verdict. See --help."""

from __future__ import annotations

import sys
from pathlib import Path

from abusing.__main__ import main
from abusing.page import Page

from .rows import ROWS

HEAD = """\
# Jobs that outlive their callers

`scripts/jobs --write` starts servers of small models for each row, asks them over loopback from other processes, kills
them and cuts their links, and writes this page. A control shows that a measure can fail, or that what was to be done to
the server was done. Figures in seconds are from machines that had other things to do: the load average (one minute,
before and after) says how many processes wanted a core.
"""
PAGE = Page(HEAD, Path("docs/benchmarks/jobs.md"), ROWS)

if __name__ == "__main__":
    sys.exit(main("jobs", __doc__, PAGE))
