"""The command line, safelight-server: each command is a module that adds its options and runs."""

from __future__ import annotations

import argparse
import sys

from . import __version__, logs  # noqa: F401 - logs first: it opens what the shell has closed
from .commands import check, compare, demo, models, serve, token, verify
from .commands import export as export_command
from .commands.parsing import Parser
from .errors import LoadError

COMMANDS = (demo, serve, check, models, token, export_command, compare, verify)


def main() -> None:
    arguments = parser().parse_args()
    try:
        arguments.run(arguments)
    except (LoadError, OSError) as error:
        sys.exit(f"safelight-server: {error}")


def parser() -> argparse.ArgumentParser:
    top = Parser(
        prog="safelight-server",
        description="Draws with SDXL and Segmind Vega on OpenVINO, over gRPC, with previews.",
        epilog=serve.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"safelight-server {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return top


if __name__ == "__main__":
    main()
