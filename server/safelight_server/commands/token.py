"""safelight-server token: a new token for a caller, and the line by which `serve --tokens` knows it."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from safelight_server.access import tokens
from safelight_server.callers import Right

from .parsing import add_command

EPILOG = """\
examples:
  safelight-server token alice --tokens tokens.txt                 may draw, and see her own jobs
  safelight-server token scraper --rights read --tokens tokens.txt may read metrics, and draw nothing
  export SAFELIGHT_TOKEN=$(safelight-server token me --tokens tokens.txt)

The token is printed once, and stored nowhere: the file has its SHA-256. A server that runs reads the file again by
itself. To take a token back, remove its line. Rights: read, draw (and read), admin (all, and everybody's jobs).
"""


def add(commands: Any) -> None:
    command = add_command(commands, "token", run, help="make a token for a caller", description=__doc__, epilog=EPILOG)
    command.add_argument("name", metavar="NAME", help="whose it is: letters, digits, dots, dashes")
    command.add_argument(
        "--rights", type=rights, default=tokens.USUAL, metavar="RIGHTS", help="read, draw or admin (draw)"
    )
    command.add_argument("--tokens", type=Path, metavar="FILE", help="add the line to this file (prints it to stderr)")


def rights(text: str) -> frozenset[Right]:
    try:
        return tokens.rights_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(arguments: argparse.Namespace) -> None:
    try:
        token, line = tokens.make(arguments.name, arguments.rights)
    except ValueError as error:
        sys.exit(f"safelight-server token: NAME {error}")
    if arguments.tokens is None:
        print(f"the line for the file of tokens:\n{line}\nthe token, which is stored nowhere:", file=sys.stderr)
    else:
        _append(arguments.tokens, line)
    print(token)


def _append(file: Path, line: str) -> None:
    """Whole lines in one write: a server that reads just now sees all of it or nothing."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    with open(descriptor, "rb+") as opened:
        size = opened.seek(0, os.SEEK_END)
        opened.seek(max(0, size - 1))
        broken = size and opened.read(1) != b"\n"
        opened.write(b"\n" * bool(broken) + line.encode() + b"\n")
