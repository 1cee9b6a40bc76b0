"""Whether there is a place for the folder that an export makes, and room for it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from safelight_server.errors import LoadError

from .plan import Options, work_folder
from .source import Source


def check(source: Source, options: Options, aside: Path) -> None:
    """Raises LoadError, one line, if the folder cannot be made where it is wanted."""
    check_output(options.output)
    output, parent = options.output.absolute(), aside.parent
    if not os.access(parent, os.W_OK | os.X_OK):
        raise LoadError(f"{parent}: cannot be written to")
    for path in (aside, work_folder(aside)):
        if os.path.lexists(path) and not path.is_dir():
            raise LoadError(f"{path}: is in the way; the export is made there first, in a folder")
    if not source.written and source.folder.resolve() in output.resolve().parents:
        raise LoadError(f"{options.output}: must not lie in the checkpoint, {source.folder}")


def check_output(output: Path) -> None:
    """Raises LoadError if the folder is there already, or the one that it is to lie in is not."""
    if os.path.lexists(output):
        raise LoadError(f"{output}: is there already; export writes a new folder")
    if not (parent := output.absolute().parent).is_dir():
        raise LoadError(f"{parent}: is not there; the folder to make must lie in one that is")


def check_room(aside: Path, needed: int) -> None:
    """Raises LoadError if the disk has no room for `needed` bytes, besides what a stopped export has made already."""
    free = shutil.disk_usage(aside.parent).free
    there = sum(path.stat().st_size for path in aside.rglob("*") if path.is_file()) if aside.is_dir() else 0
    if needed > free + there:
        raise LoadError(
            f"{aside.parent}: has {free / 1e9:.1f} GB free, and this may need {(needed - there) / 1e9:.1f} GB"
        )
