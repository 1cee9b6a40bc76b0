"""Remembers which tasks of an export are done, so that a stopped one goes on where it was.

A mark holds as long as its task has the same order, and what it made is still there as it or a later task left it: the
folders' inodes say so. So a mark is never wrong, whenever the export is killed, and whatever is changed by hand.
"""

from __future__ import annotations

import json
from pathlib import Path

from safelight_server.model_folder import json_file

from .plan import CALIBRATION, Task, work_folder

NAME = ".done.json"


class Marks:
    """The marks of an export to the folder `aside`. They lie beside it, and stay until it is in its place."""

    def __init__(self, aside: Path, tasks: list[Task]) -> None:
        self._aside, self._tasks = aside, tasks
        self._path = work_folder(aside) / NAME
        self._done: dict[str, tuple[str, dict[str, str]]] = {}  # of each task: its fingerprint, the stamps of folders
        wanted = {task.name: task for task in tasks}
        found = self._read()
        stale = {name for name in found if name not in wanted or not self._holds(wanted[name], found[name])}
        for name in [name for name in wanted if name in stale]:
            stale |= self._undone_by(wanted[name])
        stale_folders = {folder for name in stale & found.keys() for folder in found[name][1]}
        self._done = {
            name: mark for name, mark in found.items() if name not in stale and not stale_folders & mark[1].keys()
        }

    def __contains__(self, task: Task) -> bool:
        return task.name in self._done

    def begin(self, task: Task) -> None:
        """Takes the marks of a task away, and of those that depend on it."""
        for name in self._undone_by(task):
            self._done.pop(name, None)
        self._write()

    def done(self, task: Task) -> None:
        """Marks a task as done."""
        stamps = self._stamps(task)
        for _, others in self._done.values():
            others |= {folder: stamp for folder, stamp in stamps.items() if folder in others}
        self._done[task.name] = (task.fingerprint, stamps)
        self._write()

    def _undone_by(self, task: Task) -> set[str]:
        """The names of the tasks that must be run, or run again, if this one is: it, and those that depend on it."""
        later = self._tasks[self._tasks.index(task) + 1 :]
        return {task.name} | {other.name for other in later if _depends(other, task)}

    def _holds(self, task: Task, mark: tuple[str, dict[str, str]]) -> bool:
        return mark == (task.fingerprint, self._stamps(task))

    def _stamps(self, task: Task) -> dict[str, str]:
        """What tells the folders that a task makes, as they are now, from those that another run would make."""
        work = work_folder(self._aside)
        places = {name: self._aside / name for name in task.makes} or {task.folder: work / task.folder}
        return {name: _stamp(path) for name, path in places.items()}

    def _read(self) -> dict[str, tuple[str, dict[str, str]]]:
        try:
            return {name: (mark, dict(made)) for name, (mark, made) in json_file.read(self._path)[1].items()}
        except (OSError, ValueError, TypeError):
            return {}

    def _write(self) -> None:
        partial = self._path.with_name(f"{NAME}.partial")
        partial.write_text(json.dumps(self._done), encoding="utf-8")
        partial.replace(self._path)


def _depends(task: Task, earlier: Task) -> bool:
    """Whether a task must be run again where an earlier one was: it remakes its folders, or reads what it made."""
    if earlier.name == CALIBRATION:
        return task.module == "quantize"
    return bool(set(task.makes) & set(earlier.makes)) or (task.name == CALIBRATION and bool(earlier.makes))


def _stamp(folder: Path) -> str:
    try:
        state = folder.stat()
    except OSError:
        return "absent"
    return f"{state.st_ino} {state.st_mtime_ns}"
