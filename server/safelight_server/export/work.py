"""What the modules that an export runs as processes have in common.

Such a module has a class Order, which says what is to be done, and a function run(order, on_progress) that does it.
`python -m MODULE JSON` calls `main` with both: the order comes in as JSON, progress and refusals go out as lines.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from safelight_server.errors import JobError, LoadError

OnProgress = Callable[[int, int], None]  # called with how much is done, and of how much

PROGRESS = "progress"
REFUSED = "safelight-server: "


def main(order: Callable[..., Any], run: Callable[[Any, OnProgress], None]) -> int:
    """Runs the order that is the process's one argument, and returns the exit code.

    Lines of PROGRESS, what is done and the total go to stdout, and nothing else may. Where `run` raises LoadError or
    JobError, its text is the last line of stderr, after REFUSED.
    """
    stdout = sys.stdout  # now, before a library's output is sent elsewhere

    def on_progress(done: int, total: int) -> None:
        print(PROGRESS, done, total, file=stdout, flush=True)

    try:
        run(order(**json.loads(sys.argv[1])), on_progress)
    except (LoadError, JobError) as error:
        print(f"{REFUSED}{error}", file=sys.stderr, flush=True)
        return 1
    return 0
