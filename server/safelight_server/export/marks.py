"""Remembers which tasks of an export are done, so that a stopped one goes on where it was.

A mark holds as long as its task has the same order, and what it made is still there as it or a later task left it: the
folders' inodes say so. So a mark is never wrong, whenever the export is killed, and whatever is changed by hand.
"""

from __future__ import annotations

import json
from pathlib import Path

from safelight_server.model_folder import json_file

from .plan import CALIBRATION, MEASURE, Task, work_folder

NAME = ".done.json"


Mark = tuple[str, dict[str, str]]  # a task's fingerprint, and the stamp of each folder that it made
Found = dict[str, Mark]  # by the task's name


class Marks:
    """The marks of an export to the folder `aside`. They lie beside it, and stay until it is in its place."""

    def __init__(self, aside: Path, tasks: list[Task]) -> None:
        self._aside, self._tasks = aside, tasks
        self._path = work_folder(aside) / NAME
        found = self._read()
        undone = self._undone(found)
        self._done = {name: mark for name, mark in found.items() if name not in undone}

    def __contains__(self, task: Task) -> bool:
        return task.name in self._done

    def begin(self, task: Task) -> None:
        """Takes the mark of a task away."""
        self._done.pop(task.name, None)
        self._write()

    def done(self, task: Task) -> None:
        """Marks a task as done."""
        stamps = self._stamps(task)
        for _, others in self._done.values():
            others |= {folder: stamp for folder, stamp in stamps.items() if folder in others}
        self._done[task.name] = (task.fingerprint, stamps)
        self._write()

    def _undone(self, found: Found) -> set[str]:
        """The names of all tasks that must be run, or run again, and of those that are no longer wanted."""
        wanted = {task.name: task for task in self._tasks}
        undone = found.keys() - wanted.keys()
        undone |= {name for name, task in wanted.items() if name not in found or not self._holds(task, found[name])}
        while True:
            gone = {folder for name in undone & found.keys() for folder in found[name][1]}
            more = {task.name for task in self._tasks if gone & set(task.makes)}
            for number, task in enumerate(self._tasks):
                if task.name in undone:
                    more |= {other.name for other in self._tasks[number + 1 :] if _depends(other, task)}
            if more <= undone:
                return undone
            undone |= more

    def _holds(self, task: Task, mark: Mark) -> bool:
        return mark == (task.fingerprint, self._stamps(task))

    def _stamps(self, task: Task) -> dict[str, str]:
        """What tells the folders that a task makes, as they are now, from those that another run would make."""
        work = work_folder(self._aside)
        places = {name: self._aside / name for name in task.makes} or {task.folder: work / task.folder}
        return {name: _stamp(path) for name, path in places.items()}

    def _read(self) -> Found:
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
        return task.module == "quantize" or task.name == MEASURE
    return bool(set(task.makes) & set(earlier.makes)) or (task.name in (CALIBRATION, MEASURE) and bool(earlier.makes))


def _stamp(folder: Path) -> str:
    try:
        state = folder.stat()
    except OSError:
        return "absent"
    return f"{state.st_ino} {state.st_mtime_ns}"
