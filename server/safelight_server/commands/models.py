"""safelight-server models: the models of a server that runs; loads one, unloads one, forgets one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from safelight import Client, Model, SafelightError

from .parsing import add_command

EPILOG = """\
examples:
  safelight-server models                            how the models of the server on this machine stand
  safelight-server models load vega                  one that is known, before anybody asks for it
  safelight-server models load xl2 sdxl-finetune     a new one: a folder below the server's --models-root
  safelight-server models unload xl                  gives its memory back; the next request loads it again
  safelight-server models forget xl2                 there is no such model then

A server with tokens lets those do it who have the right `admin`: SAFELIGHT_TOKEN is read, and SAFELIGHT_CA for https.
"""
HEAD = "NAME", "STATE", "MEMORY", "RUNS ON"


def add(commands: Any) -> None:
    command = add_command(
        commands, "models", run, help="load and unload the models of a server", description=__doc__, epilog=EPILOG
    )
    command.add_argument("action", nargs="?", choices=("list", *ACTIONS), default="list", help="(%(default)s)")
    command.add_argument("name", nargs="?", metavar="NAME", help="of the model")
    command.add_argument("folder", nargs="?", metavar="DIR", help="of a model to load that is new, below --models-root")
    command.add_argument(
        "--address", metavar="ADDRESS", help="of the server ($SAFELIGHT_ADDRESS, else localhost:50051)"
    )


def run(arguments: argparse.Namespace) -> None:
    if (arguments.action == "list") == bool(arguments.name):
        sys.exit("safelight-server models: load, unload and forget take a NAME; list takes none")
    if arguments.folder and arguments.action != "load":
        sys.exit("safelight-server models: only load takes a DIR")
    try:
        with Client(arguments.address) as client:
            if arguments.action in ACTIONS:
                ACTIONS[arguments.action](client, arguments.name, arguments.folder)
            print(_table(client.models()))
    except (SafelightError, ValueError) as error:
        sys.exit(f"safelight-server models: {error}")


def _load(client: Client, name: str, folder: str | None) -> None:
    print(f"loading {name} ...", file=sys.stderr)
    client.load_model(name, folder)


def _unload(client: Client, name: str, folder: None) -> None:
    client.unload_model(name)


def _forget(client: Client, name: str, folder: None) -> None:
    client.unload_model(name, forget=True)


ACTIONS: dict[str, Any] = {"load": _load, "unload": _unload, "forget": _forget}


def _table(models: Sequence[Model]) -> str:
    rows: list[tuple[str, ...]] = [HEAD]
    for model in models:
        memory = f"{model.memory_bytes / 1e9:.2f} GB" if model.memory_bytes else "-"
        rows.append((model.name, model.state, memory, f"{model.device} {model.precision}".rstrip()))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
