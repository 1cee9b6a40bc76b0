"""safelight-server verify: are the files of these model folders those that were exported?"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from safelight_server.errors import LoadError
from safelight_server.model_folder import seal

from .parsing import add_command


def add(commands: Any) -> None:
    """Adds the command and its options."""
    command = add_command(
        commands,
        "verify",
        run,
        help="check that the files of model folders are those that were exported",
        description=__doc__,
    )
    command.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="a model folder with a seal")


def run(arguments: argparse.Namespace) -> None:
    """Checks the folders. Raises LoadError for the first one that is not as it was sealed, or has no seal."""
    for folder in arguments.folders:
        print(f"{folder}: {_verify(folder)}", flush=True)


def _verify(folder: Path) -> str:
    files, total = seal.covered(folder), seal.size(folder)
    style = "{desc} {bar} {n_fmt}B/{total_fmt}B"
    options = {"desc": str(folder), "unit_scale": True, "bar_format": style, "leave": False}
    with tqdm(total=total, disable=not sys.stderr.isatty(), **options) as bar:
        if not seal.check(folder, bar.update):
            raise LoadError(f"{folder}: has no seal in safelight.json; its files cannot be checked")
    return f"{len(files)} files, {total / 1e6:.1f} MB, all as exported"
