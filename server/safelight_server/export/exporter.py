"""An export: its tasks one after the other, in a folder aside, which takes its place when it is whole.

What a stopped export has made is kept, and the same command goes on from there.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from safelight_server.errors import LoadError
from safelight_server.model_folder import json_file, seal
from safelight_server.model_folder.manifest import NAME

from . import place, process, record, rehearsal, sharing
from .lora import checking
from .marks import Marks
from .plan import Options, Task, tasks, work_folder
from .process import Execute, OnProgress, in_own_process
from .source import Source


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
    """Plans an export.

    Raises LoadError for all that can be known before the first weight is loaded: no place for the folder, too little
    room on the disk, a model that would not be served, a LoRA that does not fit.
    """
    aside = options.output.absolute().with_name(f".{options.output.name}.partial")
    place.check(source, options, aside)
    rehearsal.check(source, options)
    source = source.placed(work_folder(aside) / "checkpoint")
    fused = checking.parts(source.shapes(), [path for path, _ in options.loras])
    hashes = source.digests()
    shared = sharing.shared(options, hashes, fused)
    planned = tasks(source, options, aside, frozenset(shared), fused)
    export = Export(source, options, aside, hashes, shared, fused, planned)
    place.check_room(aside, export.bytes)
    return export


def run(export: Export, on_progress: OnProgress, execute: Execute = in_own_process) -> None:
    """Makes the folder. `execute` says how a task is done.

    Raises LoadError, one line. Then the folder is not there, and what is done is kept for the same command.
    """
    try:
        _run(export, on_progress, execute)
    except OSError as error:
        raise LoadError(f"{error.filename or export.aside}: {error.strerror or error}") from None


def told(folder: Path) -> list[str]:
    """What an exported folder says of its quantization, a line for each part and one for the pictures."""
    return record.lines(json_file.read(folder / NAME)[1].get("source", {}).get("int8_measured", {}))


def _run(export: Export, on_progress: OnProgress, execute: Execute) -> None:
    export.aside.mkdir(exist_ok=True)
    work_folder(export.aside).mkdir(exist_ok=True)
    export.source.write()
    marks = Marks(export.aside, export.tasks)
    record.describe(export.source, export.options, export.aside, export.shared)
    for task in export.tasks:
        if task not in marks:
            marks.begin(task)
            process.run(task, export.aside, on_progress, execute)
            marks.done(task)
        on_progress(task, task.bytes)
    _finish(export)


def _finish(export: Export) -> None:
    """Seals the folder and puts it in its place. What it was made with is kept until it is there."""
    parts = {part for task in export.tasks for part in task.makes} | {"scheduler", "model_index.json", NAME}
    for path in export.aside.iterdir():
        if path.name not in parts:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    manifest = record.manifest(
        export.source, export.options, export.aside, export.shared, export.hashes, sorted(export.fused)
    )
    seal.write(export.aside, manifest)
    export.aside.rename(export.options.output.absolute())
    shutil.rmtree(work_folder(export.aside), ignore_errors=True)
