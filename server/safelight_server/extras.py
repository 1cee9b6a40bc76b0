"""What to install for an extra that is not there: a line that works with and without a checkout."""

from __future__ import annotations

import sys
from importlib.metadata import requires

DISTRIBUTION = "safelight-server"


def install_line(extra: str) -> str:
    """The command that brings an extra's packages to this Python.

    It names the packages, since the extra itself can be installed only where the sources are; and this Python, since
    the `pip` of a shell may be another one's.
    """
    marked = [line.partition(";") for line in requires(DISTRIBUTION) or ()]
    wanted = [requirement.strip() for requirement, _, marker in marked if f'extra == "{extra}"' in marker]
    return " ".join([quoted(sys.executable), "-m pip install", *map(quoted, wanted)])


def quoted(word: str) -> str:
    """As sh, cmd and PowerShell all read it."""
    return f'"{word}"' if set(word) & set(" <>!~") else word
