"""Runs one job of an export in a process of its own, and says what became of it."""

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

from .plan import MODULE, Job
from .work import PROGRESS, REFUSED

Told = Callable[[Job, int], None]  # hears how many of a job's bytes are done

FULL = ("iostream error", "No space left", "File too large", "Disk quota")  # how OpenVINO and the system say it
QUIET = {"PYTHONWARNINGS": "ignore", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}


def do(job: Job, aside: Path, told: Told) -> None:
    """Runs the job in a folder of its own, whose folders then take their places."""
    made = aside / f".{job.name.replace(' ', '-')}"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    if job.module == "quantize":
        shutil.copytree(aside / job.makes[0], made / job.makes[0], copy_function=os.link)
    with (aside / f"{made.name}.log").open("w+", encoding="utf-8") as log:
        code = _watch(job, log, told)
        if code:
            log.seek(0)
            raise LoadError(_why(job, code, log.read().splitlines(), Path(log.name)))
    for name in job.makes:
        shutil.rmtree(aside / name, ignore_errors=True)
        (made / name).rename(aside / name)
    if job.makes:
        shutil.rmtree(made)


def _watch(job: Job, log: Any, told: Told) -> int:
    command = [sys.executable, "-m", f"{MODULE}.{job.module}", json.dumps(job.order)]
    with _process(command, log) as process:
        for line in process.stdout:
            words = line.split()
            if words[:1] == [PROGRESS]:
                told(job, job.bytes * int(words[1]) // max(1, int(words[2])))
    return int(process.returncode)


@contextmanager
def _process(command: list[str], log: Any) -> Iterator[Any]:
    """Ended in any case: nothing goes on writing into a folder that is given up."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ | QUIET
    )
    try:
        with process:
            yield process
    finally:
        process.kill()


def _why(job: Job, code: int, lines: list[str], log: Path) -> str:
    refused = [line.removeprefix(REFUSED) for line in lines if line.startswith(REFUSED)]
    if refused:
        return refused[-1]
    if code == -9:
        return f"{job.name}: its process was killed, as systems do when memory runs out; its log is {log}"
    last = next((line for line in reversed(lines) if line.strip()), f"exit code {code}")
    if any(sign in last for sign in FULL):
        return f"{log.parent}: {job.name} could not be written whole; is the disk full?"
    return f"{job.name}: failed: {last[:300]}; its log is {log}"
