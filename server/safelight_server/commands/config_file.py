"""A TOML file in place of a command's options: its keys are the options' own names, read by their own rules."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OPTION = "--config"
NOT_IN_A_FILE = ("help", "config", "seals")  # seals: how `check` looks, not how a server is
PATH = re.compile(r"(FILE|DIR)$")  # metavars of values that are paths; before an "=" stands a name
PER_MODEL = re.compile(r"\[?NAME=\]?")  # metavars of options that may be given again, for another model


class BadFile(ValueError):
    """What is wrong with a file: all of it, one problem a line."""


class _FromFile(list[Any]):
    """Values of an option that may be repeated. Those of the command line take their place, and are not added."""

    def __copy__(self) -> list[Any]:  # argparse appends to a copy of what is there
        return []


def add(parser: argparse.ArgumentParser) -> None:
    """Adds --config, by which what the command line does not say is read from a file."""
    parser.add_argument(
        OPTION,
        type=Path,
        metavar="FILE",
        help="a TOML file with these options, as `slots = 16`; the command line wins; paths in it start at its folder",
    )


def keys(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """All that a file may say for this command: each option, by its name without dashes."""
    actions = [action for action in parser._actions if action.option_strings and action.dest not in NOT_IN_A_FILE]
    return {max(action.option_strings, key=len).lstrip("-"): action for action in actions}


def read(parser: argparse.ArgumentParser, file: Path) -> dict[str, Any]:
    """What the file says, by the attributes that the options set. Raises BadFile, with all that is wrong in it."""
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadFile(f"{OPTION} {file}: {error.strerror or error}") from None
    except ValueError as error:
        raise BadFile(f"{OPTION} {file}: is not TOML: {error}") from None
    known, found, wrong = keys(parser), {}, []
    with _folder(file.parent):
        for key, value in values.items():
            try:
                action = _known(key, known)
                found[action.dest] = _value(key, action, value)
            except ValueError as error:
                wrong.append(f"{OPTION} {file}: {error}")
    if wrong:
        raise BadFile("\n".join(wrong))
    return found


@contextlib.contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Paths in the file start where the file is, also those that are a part of a value: unix:PATH."""
    with contextlib.chdir(folder):
        yield


def _known(key: str, known: dict[str, argparse.Action]) -> argparse.Action:
    if key in known:
        return known[key]
    if key in NOT_IN_A_FILE:
        raise ValueError(f"{key} is for the command line alone")
    near = difflib.get_close_matches(key.replace("_", "-").lower(), known, 1, 0.5)
    raise ValueError(f"{key} is no option{f'; did you mean {near[0]}?' if near else ''}")


def _value(key: str, action: argparse.Action, value: Any) -> Any:
    """As argparse would have made it of the command line. Raises ValueError with the key, the rule and the value."""
    if action.nargs == 0 or (action.nargs == "?" and isinstance(value, bool)):
        return _switched(key, action, value)
    if not isinstance(action, argparse._AppendAction):
        return _converted(key, action, value)
    if isinstance(value, dict) and PER_MODEL.match(_metavar(action)):
        return _FromFile(_converted(f"{key}.{name}", action, each, f"{name}=") for name, each in value.items())
    each_value = value if isinstance(value, list) else [value]
    return _FromFile(_converted(key, action, each) for each in each_value)


def _switched(key: str, action: argparse.Action, value: Any) -> Any:
    if not isinstance(value, bool):
        raise ValueError(f"{key} must be true or false, not {value!r}")
    if isinstance(action, argparse.BooleanOptionalAction):
        return value
    return action.const if value else action.default


def _converted(key: str, action: argparse.Action, value: Any, name: str = "") -> Any:
    """One value, by the option's own type and choices. `name` is what stands before it on the command line."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"{key} must be {_kinds(action)}, not {_shown(value)}")
    if not isinstance(value, str) and (action.type in (None, Path) or PATH.search(_metavar(action))):
        raise ValueError(f"{key} must be text in quotes, not {value!r}")
    text = _text(action, value, name) if isinstance(value, str) else f"{name}{value}"
    try:
        made = action.type(text) if callable(action.type) else text
    except (argparse.ArgumentTypeError, ValueError) as error:
        raise ValueError(f"{key} {_rule(error, value)}") from None
    if action.choices is not None and made not in action.choices:
        raise ValueError(f"{key} must be one of {', '.join(map(str, action.choices))}, not {value!r}")
    if isinstance(value, float) and not isinstance(made, (int, float)):
        raise ValueError(f"{key} must be text in quotes, not {value!r}")
    if isinstance(value, str) and isinstance(made, (int, float)) and not value[-1:].isalpha():  # "24G" has its quotes
        raise ValueError(f"{key} must be a number, which has no quotes, not {value!r}")
    return made


def _text(action: argparse.Action, value: str, name: str) -> str:
    """As it would stand on the command line; paths are absolute."""
    if not PATH.search(_metavar(action)):
        return name + value
    if not name and PER_MODEL.match(_metavar(action)):
        name, equals, value = value.partition("=")
        name += equals
    return name + (os.path.abspath(os.path.expanduser(value)) if value else "")


def _metavar(action: argparse.Action) -> str:
    return str(action.metavar or "")


def _rule(error: Exception, value: Any) -> str:
    told = str(error)
    return told if isinstance(error, argparse.ArgumentTypeError) else f"must be a number, not {value!r}"


def _kinds(action: argparse.Action) -> str:
    if isinstance(action, argparse._AppendAction):
        table = ", or a table with a value for each model" if PER_MODEL.match(_metavar(action)) else ""
        return f"a value as the command line takes it ({action.metavar}), or a list of these{table}"
    return f"one value ({action.metavar or 'one of ' + ', '.join(map(str, action.choices or ()))})"


def _shown(value: Any) -> str:
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
