"""The environment of all processes that are started."""

from __future__ import annotations

import os
from pathlib import Path

QUIET = {
    "HF_HUB_OFFLINE": "1",  # no look-ups on the hub for folders that are here
    "PYTHONWARNINGS": "ignore",
    "TOKENIZERS_PARALLELISM": "false",
}


def environment(**more: str) -> dict[str, str]:
    """Ours, in which this package is found; `more` is added."""
    found = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, **QUIET, "PYTHONPATH": os.pathsep.join(found), **more}
