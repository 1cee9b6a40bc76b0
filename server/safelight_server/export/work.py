"""What an export's own processes have in common: an order comes in as JSON, progress and refusals go out as lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from safelight_server.errors import LoadError

PROGRESS = "progress"
REFUSED = "safelight-server: "


def main(order: Callable[..., Any], work: Callable[[Any, Callable[[int, int], None]], None]) -> int:
    """Does the order that is the process's one argument; its exit code. What it refuses is its last line of stderr."""

    def told(done: int, total: int) -> None:
        print(PROGRESS, done, total, flush=True)

    try:
        work(order(**json.loads(sys.argv[1])), told)
    except LoadError as error:
        print(f"{REFUSED}{error}", file=sys.stderr, flush=True)
        return 1
    return 0
