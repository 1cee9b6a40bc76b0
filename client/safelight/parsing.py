"""How the command line is read: whole names of options, errors in one line, completion, and the types of values."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from .options import Refiner

WAIT = 300.0  # seconds that --wait waits by itself
FILES = {"bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f"}  # what shtab completes with


class Parser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong, and takes no part of an option's name for the whole."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        """Exits with 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


class PrintCompletion(argparse.Action):
    """Prints the script that completes commands and options in a shell."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: object, values: Any, option: Any = None) -> None:
        try:
            import shtab
        except ImportError:
            parser.error(f"completion needs shtab: {sys.executable} -m pip install shtab")
        print(shtab.complete(parser, shell=values))
        parser.exit()


def with_wait(argv: Sequence[str]) -> list[str]:
    """The arguments, where a --wait without seconds does not take what follows for them."""
    given = list(argv)
    for place, text in enumerate(given):
        if text == "--":
            break
        if text == "--wait" and not re.fullmatch(r"[+-]?[\d.]+(e\d+)?", (given[place + 1 :] or [""])[0]):
            given[place] = f"--wait={WAIT:g}"
    return given


def size(text: str) -> tuple[int, int]:
    width, found, height = text.lower().partition("x")
    if not (found and width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, as 768x512")
    return int(width), int(height)


def above_zero(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not number > 0:
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0, not {text!r}")
    return number


def refiner(text: str) -> Refiner:
    name, found, handoff = text.rpartition("@")
    if not found:
        return Refiner(text)
    try:
        return Refiner(name, float(handoff))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME or NAME@HANDOFF, as refiner@0.8") from None


def token(text: str) -> str:
    return file(text).decode(errors="replace").strip()


def file(text: str) -> bytes:
    try:
        return Path(text).read_bytes()
    except OSError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
