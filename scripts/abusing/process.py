"""Processes that a row starts and ends: the server, and clients that ask it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from safelight_server import demo

SERVE = [sys.executable, "-m", "safelight_server", "serve", "--listen", "127.0.0.1:0", "--precision=f32"]
VEGA = f"--model=demo-vega={demo.FOLDERS['demo-vega']}"  # the model of abusing.calls.SMALL, and no other
READY = 240  # seconds for a server to be ready, on a machine that has other things to do


class Server:
    """`safelight-server serve` on a free port, or another command that tells its port; killed on exit."""

    def __init__(
        self, *arguments: str, command: list[str] | None = None, before: Callable[[], None] | None = None
    ) -> None:
        self._log = tempfile.NamedTemporaryFile("w+", encoding="utf-8", suffix=".log")  # noqa: SIM115 - closed in __exit__
        self.process = subprocess.Popen(
            command or [*SERVE, *arguments], stdin=subprocess.DEVNULL, stderr=self._log, preexec_fn=before
        )
        try:
            self.wait_for("ready: ")
            found = re.search(r"listening on [^ ,]*:(\d+)", self.log())
            assert found, self.log()
        except BaseException:
            self._put_away()
            raise
        self.address = f"127.0.0.1:{found.group(1)}"

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        return Path(self._log.name).read_text(encoding="utf-8")

    def wait_for(self, words: str, patience: float = READY) -> None:
        deadline = time.monotonic() + patience
        while words not in self.log():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server's log does not say {words!r}:\n{self.log()[-2000:]}")
            time.sleep(0.02)

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def seconds_to_end(self, patience: float) -> float:
        """Until it has ended, from now; infinite if it has not after so many."""
        began = time.monotonic()
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            return float("inf")
        return time.monotonic() - began

    def _put_away(self) -> None:
        self.process.kill()
        self.process.wait()
        self._log.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._put_away()


class Asker:
    """A client in a process of its own: abusing.asker, which says what became of its calls."""

    def __init__(self, address: str, **what: Any) -> None:
        command = [sys.executable, "-m", "abusing.asker", address, json.dumps(what)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ready(self) -> None:
        assert self.process.stdout
        assert self.process.stdout.readline() == "ready\n"

    def begin(self, at: float) -> None:
        """Asks from `at` on, of the clock that all processes share."""
        assert self.process.stdin
        self.process.stdin.write(f"{at}\n")
        self.process.stdin.flush()

    def calls(self, patience: float) -> list[dict[str, Any]]:
        """Of each call: its code, and the seconds after the beginning when it began and when it ended."""
        out, _ = self.process.communicate(timeout=patience)
        told: list[dict[str, Any]] = json.loads(out)
        return told


def ask_together(askers: list[Asker], patience: float) -> list[list[dict[str, Any]]]:
    """The calls of each; all begin at the same time."""
    try:
        for asker in askers:
            asker.ready()
        at = time.monotonic() + 0.2
        for asker in askers:
            asker.begin(at)
        return [asker.calls(patience) for asker in askers]
    finally:
        for asker in askers:
            asker.process.kill()
            asker.process.wait()
