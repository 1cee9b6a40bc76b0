"""What the commands have in common: a parser, how one is added to it, and the types of their options' values."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from . import config_file

PRECISIONS = ("f32", "bf16", "f16")  # of the arithmetic on a device


class Parser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong, and takes no part of an option's name for the whole."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **options})
        self._reads_files = False

    def error(self, message: str) -> NoReturn:
        """Exits with 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")

    def read_config_files(self) -> None:
        """From now on it has the option --config: a file may say what the command line does not."""
        config_file.add(self)
        self._reads_files = True

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does it: what stands in the namespace before is what options have that are not given."""
        found = super().parse_known_args(args, namespace)
        file: Path | None = found[0].config if self._reads_files else None
        if file is None:
            return found
        try:
            return super().parse_known_args(args, argparse.Namespace(**config_file.read(self, file)))
        except config_file.BadFile as error:
            return self.exit(2, "".join(f"{self.prog}: {line}\n" for line in str(error).splitlines()))


def add_command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], None],
    *,
    help: str,
    description: str | None,
    epilog: str | None = None,
) -> Parser:
    """Adds a command that `run` runs, and returns its parser. `commands` is what add_subparsers gave."""
    parser: Parser = commands.add_parser(
        name,
        help=help,
        description=description,
        epilog=epilog,
        # An epilog has examples, whose lines must stay as they are.
        formatter_class=argparse.RawDescriptionHelpFormatter if epilog else argparse.HelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def seconds(text: str) -> float:
    """The type of an option whose value is a time, which may be 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of seconds from 0 on, not {text!r}")
    return value


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """The type of an option whose value is a whole number from `least` on, or up to `most`."""
    rule = f"from {least} on" if most is None else f"from {least} to {most}"

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least or (most is not None and int(text) > most):
            raise argparse.ArgumentTypeError(f"must be a whole number {rule}, not {text!r}")
        return int(text)

    return number


UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def byte_count(text: str) -> int:
    """The type of an option whose value is a number of bytes: 512M, 24G, 25769803776."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?", text, re.IGNORECASE)
    count = round(float(found[1]) * UNITS[found[2].upper()]) if found else 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"must be a number of bytes, as 512M or 24G, not {text!r}")
    return count
