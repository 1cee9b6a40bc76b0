"""Runs one task of an export in a folder of its own, in a process of its own, and says why where it fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safelight_server.errors import LoadError

from . import work
from .plan import MODULE, Task, work_folder
from .work import PROGRESS, REFUSED

OnProgress = Callable[[Task, int], None]  # called with a task and how many of its bytes are done
Execute = Callable[[Task, Path, work.OnProgress], None]  # does a task, with a file for a log; raises LoadError

FULL = ("iostream error", "No space left", "File too large", "Disk quota")  # how OpenVINO and the system say it
# UTF-8 whatever the user's own encoding is: what goes wrong is read again from the log.
QUIET = {"PYTHONWARNINGS": "ignore", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1", "PYTHONIOENCODING": "utf-8"}


def in_own_process(task: Task, log: Path, on_progress: work.OnProgress) -> None:
    """Does a task in a new process, which gives all its memory back when it ends.

    Raises LoadError, one line, where the process fails; all that it wrote to stderr is in `log`.
    """
    command = [sys.executable, "-m", f"{MODULE}.{task.module}", json.dumps(task.order)]
    with log.open("w+", encoding="utf-8") as file:
        with _process(command, file) as process:
            for line in process.stdout:
                words = line.split()
                if words[:1] == [PROGRESS]:
                    on_progress(int(words[1]), int(words[2]))
        if process.returncode:
            file.seek(0)
            raise LoadError(_reason(task, int(process.returncode), file.read().splitlines(), log))


def run(task: Task, aside: Path, on_progress: OnProgress, execute: Execute = in_own_process) -> None:
    """Runs a task in its own folder beside `aside`; then the folders that it made take their places in `aside`.

    Raises what `execute` raises; then no folder has changed its place.
    """
    work = work_folder(aside)
    made = work / task.folder
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    if task.module == "quantize":
        shutil.copytree(aside / task.makes[0], made / task.makes[0], copy_function=_linked)

    def count_bytes(done: int, total: int) -> None:
        on_progress(task, task.bytes * done // max(1, total))

    execute(task, work / f"{made.name}.log", count_bytes)
    for name in task.makes:
        shutil.rmtree(aside / name, ignore_errors=True)
        (made / name).rename(aside / name)
    if task.makes:
        shutil.rmtree(made)


def _linked(file: str, place: str) -> None:
    try:
        os.link(file, place)
    except OSError:  # a file system without hard links
        shutil.copy2(file, place)


@contextmanager
def _process(command: list[str], log: Any) -> Iterator[Any]:
    """Ends the process in any case: nothing may go on writing into a folder that is given up."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        encoding="utf-8",
        env=os.environ | QUIET,
    )
    try:
        with process:
            yield process
    finally:
        process.kill()


def _reason(task: Task, code: int, lines: list[str], log: Path) -> str:
    refused = [line.removeprefix(REFUSED) for line in lines if line.startswith(REFUSED)]
    if refused:
        return refused[-1]
    if code == -9:
        return f"{task.name}: its process was killed, as systems do when memory runs out; its log is {log}"
    last = next((line for line in reversed(lines) if line.strip()), f"exit code {code}")
    if any(sign in last for sign in FULL):
        return f"{log.parent}: {task.name} could not be written whole; is the disk full?"
    return f"{task.name}: failed: {last[:300]}; its log is {log}"
