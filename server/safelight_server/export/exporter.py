"""An export: its tasks one after the other, in a folder aside, which takes its place when it is whole.

What a stopped export has made is kept, and the same command goes on from there.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from safelight_server.errors import LoadError
from safelight_server.model_folder import json_file, seal
from safelight_server.model_folder.manifest import NAME

from . import process, record, sharing
from . import source as sources
from .lora import checking
from .plan import CALIBRATION, Options, Task, tasks
from .process import Execute, OnProgress, in_own_process
from .source import Source

DONE = ".done.json"
Marks = dict[str, list[str]]  # of each task that is done: its fingerprint, and the folders that it made


@dataclass(frozen=True)
class Export:
    """All that is known of an export before the first weight is loaded."""

    source: Source
    options: Options
    aside: Path  # the folder that it is made in
    hashes: dict[str, str]  # the SHA-256 of the checkpoint's files
    shared: dict[str, str]  # the parts that are read from a folder beside, and its name
    fused: frozenset[str]  # the parts that LoRAs change
    tasks: list[Task]

    @property
    def bytes(self) -> int:
        """About how many all tasks write."""
        return sum(task.bytes for task in self.tasks)


def prepare(source: Source, options: Options) -> Export:
    """Plans an export. Raises LoadError if it cannot begin: no place for its folder, or too little room on the disk."""
    aside = options.output.absolute().with_name(f".{options.output.name}.partial")
    hashes = sources.digests(source.files)
    fused = checking.parts(source.weights, [path for path, _ in options.loras])
    shared = sharing.shared(options, hashes, fused)
    planned = tasks(source, options, aside, frozenset(shared), fused)
    export = Export(source, options, aside, hashes, shared, fused, planned)
    if not aside.parent.is_dir():
        raise LoadError(f"{aside.parent}: is not there; the folder to make must lie in one that is")
    free = shutil.disk_usage(aside.parent).free
    if export.bytes > free:
        raise LoadError(f"{aside.parent}: has {free / 1e9:.1f} GB free, and this may need {export.bytes / 1e9:.1f} GB")
    return export


def run(export: Export, on_progress: OnProgress, execute: Execute = in_own_process) -> None:
    """Makes the folder. `execute` says how a task is done.

    Raises LoadError, one line. Then the folder is not there, and what is done is kept for the same command.
    """
    try:
        _run(export, on_progress, execute)
    except OSError as error:
        raise LoadError(f"{error.filename or export.aside}: {error.strerror or error}") from None


def _run(export: Export, on_progress: OnProgress, execute: Execute) -> None:
    export.aside.mkdir(exist_ok=True)
    done = _valid_marks(_read_marks(export.aside), export.tasks)
    record.describe(export.source, export.options, export.aside, export.shared)
    for task in export.tasks:
        if task.name not in done:
            done = {name: mark for name, mark in done.items() if name not in _undone_by(task, export.tasks)}
            _write_marks(export.aside, done)
            process.run(task, export.aside, on_progress, execute)
            done[task.name] = [task.fingerprint, *task.makes]
            _write_marks(export.aside, done)
        on_progress(task, task.bytes)
    _finish(export)


def _undone_by(task: Task, tasks: list[Task]) -> set[str]:
    """The names of the tasks that must be run, or run again, if this one is: it, and those after it that depend on it.

    A later task depends on it if it remakes the same folders; calibration depends on all parts.
    """
    later = tasks[tasks.index(task) + 1 :]
    return {task.name} | {
        other.name for other in later if other.name == CALIBRATION or set(other.makes) & set(task.makes)
    }


def _valid_marks(done: Marks, tasks: list[Task]) -> Marks:
    """The marks that still hold.

    One does not if its task is not among these, or has another fingerprint now; nor do those of other tasks that made
    the same folders.
    """
    wanted = {task.name: task.fingerprint for task in tasks}
    outdated = {folder for name, (mark, *makes) in done.items() if wanted.get(name) != mark for folder in makes}
    return {
        name: [mark, *makes]
        for name, (mark, *makes) in done.items()
        if wanted.get(name) == mark and not outdated & set(makes)
    }


def _read_marks(aside: Path) -> Marks:
    try:
        return json_file.read(aside / DONE)[1]
    except (OSError, ValueError):
        return {}


def _write_marks(aside: Path, done: Marks) -> None:
    partial = aside / f"{DONE}.partial"
    partial.write_text(json.dumps(done), encoding="utf-8")
    partial.replace(aside / DONE)


def _finish(export: Export) -> None:
    """Seals the folder and puts it in its place."""
    parts = {part for task in export.tasks for part in task.makes} | {"scheduler", "model_index.json", NAME}
    for path in export.aside.iterdir():
        if path.name not in parts:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    manifest = record.manifest(
        export.source, export.options, export.aside, export.shared, export.hashes, sorted(export.fused)
    )
    seal.write(export.aside, manifest)
    export.aside.rename(export.options.output.absolute())
