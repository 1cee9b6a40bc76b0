"""safelight-server's command line, run in the process of the tests: a process for each would cost a second."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import NamedTuple
from unittest.mock import patch

from safelight_server.__main__ import main


class Ran(NamedTuple):
    """What a shell would see of a command."""

    code: int
    out: str
    err: str


def run(*arguments: object) -> Ran:
    """safelight-server with these arguments."""
    code, out, err = 0, io.StringIO(), io.StringIO()
    argv = ["safelight-server", *map(str, arguments)]
    with patch.object(sys, "argv", argv), redirect_stdout(out), redirect_stderr(err), _own_log():
        try:
            main()
        except SystemExit as exit:
            if isinstance(exit.code, str):  # as the interpreter does with it
                print(exit.code, file=sys.stderr)
            code = exit.code if isinstance(exit.code, int) else int(exit.code is not None)
    return Ran(code, out.getvalue(), err.getvalue())


@contextmanager
def _own_log() -> Iterator[None]:
    """Some commands set the root logger up. It is the tests' again afterwards, for they read what is logged there."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers
