"""A peer in a process of its own: what it does is timed there, and where it crashes this is told."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ParamSpec, TypeVar

from . import worker

KINDS = ("genai", "optimum")

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


class PeerCrashed(RuntimeError):
    """The peer's process ended without an answer."""


class Peer:
    """`kind` is one of KINDS. Functions of `worker` are called in its process, one at a time."""

    def __init__(self, kind: str, folders: Mapping[str, Path], precision: str, logs: Path) -> None:
        self.kind, self._log = kind, logs / f"{kind}.log"
        processes = multiprocessing.get_context("spawn")
        self._pipe, theirs = processes.Pipe()
        arguments = (theirs, kind, dict(folders), precision, self._log)
        self._process = processes.Process(target=worker.serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()  # so that its end is the end of the pipe

    def __call__(
        self, function: Callable[Arguments, Answer], *arguments: Arguments.args, **options: Arguments.kwargs
    ) -> Answer:
        """The function's answer. Raises what it raises, and PeerCrashed."""
        try:
            self._pipe.send((function, arguments, options))
            answer, error = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            raise PeerCrashed(
                f"{self.kind} crashed in {function.__name__}, with exit code {self._process.exitcode}; "
                f"its last words: {self._log}"
            ) from None
        if error:
            raise error
        return answer  # type: ignore[no-any-return] # a pipe carries anything

    def close(self) -> None:
        self._pipe.close()
        self._process.join()
