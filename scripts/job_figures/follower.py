"""A client process: python -m job_figures.follower ADDRESS JOB AFTER; prints number and kind of what it hears."""

from __future__ import annotations

import sys

from .asking import attach
from .serving import connect


def main(address: str, job_id: str, after: str) -> None:
    print("began", flush=True)
    for told in attach(connect(address), job_id, int(after), previews=1):
        print(told.sequence, told.WhichOneof("event"), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
