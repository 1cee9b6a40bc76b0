"""The environment of all processes that the benchmark starts."""

from __future__ import annotations

import os
from pathlib import Path

QUIET = {
    "HF_HUB_OFFLINE": "1",  # no look-ups on the hub for folders that are here
    "PYTHONWARNINGS": "ignore",
    "TOKENIZERS_PARALLELISM": "false",
}


def environment(**more: str) -> dict[str, str]:
    """The environment of this process, with which theirs can import this package; `more` is added."""
    found = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, **QUIET, "PYTHONPATH": os.pathsep.join(found), **more}
