"""safelight-server check: would `serve` start with these options? All that is wrong, in one go."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import Any

from safelight_server.errors import LoadError
from safelight_server.preflight import checks
from safelight_server.preflight.finding import Mark, failed

from .parsing import add_command
from .serve import config_from
from .serve_options import add_options

EPILOG = """\
examples:
  safelight-server check --config serve.toml
  safelight-server check --model xl=./sdxl-base --device GPU --tls-cert cert.pem --tls-key key.pem
  safelight-server check --config serve.toml --seals     reads all of the models, too

It takes the options of `safelight-server serve`, changes nothing, and prints a line for each check:
  ok       it is as it should be
  warning  the server would start; what is told may hurt later
  FAILED   the server would not start, or not work; the line says what to do
Exit codes: 0 nothing failed, 1 something did, 2 the options or the file cannot be read.
Beside a server that runs with the same options, its port and its job store are in use: that is told as FAILED.
"""


def add(commands: Any) -> None:
    command = add_command(
        commands, "check", run, help="say what is wrong before serving", description=__doc__, epilog=EPILOG
    )
    command.add_argument(
        "--seals",
        action="store_true",
        help="hold all files of the models against their seals, as serve does; it reads gigabytes",
    )
    add_options(command)


def run(arguments: argparse.Namespace) -> None:
    try:
        config = config_from(arguments)
    except LoadError as error:
        print(failed("", str(error)))
        sys.exit(1)
    told: Counter[Mark] = Counter()
    for finding in checks.run(config, seals=arguments.seals):
        print(finding, flush=True)
        told[finding.mark] += 1
    print(f"{told[Mark.FAILED]} failed, {told[Mark.WARNING]} warnings, {told[Mark.OK]} ok")
    sys.exit(1 if told[Mark.FAILED] else 0)
