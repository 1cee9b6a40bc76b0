"""A peer in a process of its own, which times what it does; a crash of it is an exception here."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ParamSpec, TypeVar

from . import worker

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


class PeerCrashed(RuntimeError):
    """The peer's process ended without an answer."""


class Peer:
    """A process of the peer `name`, one of KINDS. Functions of `worker` are called in it, one at a time."""

    def __init__(self, name: str, folders: Mapping[str, Path], precision: str, logs: Path) -> None:
        self.name, self._log = name, logs / f"{name}.log"
        processes = multiprocessing.get_context("spawn")
        self._pipe, theirs = processes.Pipe()
        arguments = (theirs, name, dict(folders), precision, self._log)
        self._process = processes.Process(target=worker.serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()  # so that its end is the end of the pipe

    def __call__(
        self, function: Callable[Arguments, Answer], *arguments: Arguments.args, **options: Arguments.kwargs
    ) -> Answer:
        """The answer of a function of `worker`. Raises what that raises, and PeerCrashed."""
        try:
            self._pipe.send((function, arguments, options))
            answer, error = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            raise PeerCrashed(
                f"{self.name} crashed in {function.__name__}, with exit code {self._process.exitcode}; "
                f"its last words: {self._log}"
            ) from None
        if error:
            raise error
        return answer  # type: ignore[no-any-return] # a pipe carries anything

    def close(self) -> None:
        self._pipe.close()
        self._process.join()
