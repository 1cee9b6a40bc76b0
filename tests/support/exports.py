"""Exports in the process of the tests: torch and what belongs to it is imported once, not for every part."""

from __future__ import annotations

import gc
import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safelight_server.__main__ import parser
from safelight_server.commands.export import options_from, source_from
from safelight_server.export import exporter
from safelight_server.export.plan import MODULE, Task
from safelight_server.export.work import OnProgress


@contextmanager
def quick_and_quiet() -> Iterator[None]:
    """Takes away what costs time in a process like this, and the warnings of the libraries."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # models this small are slower with more
    gc.collect()
    gc.freeze()  # Optimum collects garbage at every part, among all objects that the tests have made
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        gc.unfreeze()
        torch.set_num_threads(threads)


def in_this_process(task: Task, log: Path, on_progress: OnProgress) -> None:
    """Does a task as its own process would."""
    module = importlib.import_module(f"{MODULE}.{task.module}")
    module.run(module.Order(**task.order), on_progress)


def export(*arguments: object) -> Path:
    """What `safelight-server export` does with these arguments; the folder that it made."""
    given = parser().parse_args(["export", *map(str, arguments)])
    options = options_from(given)
    with quick_and_quiet():
        prepared = exporter.prepare(source_from(given, options), options)
        exporter.run(prepared, lambda task, done: None, in_this_process)
    return options.output
