"""A Safelight server in a process of its own, for tests that speak to it over TCP."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

from support import compiled


def models(folders: dict[str, str], *names: str) -> list[str]:
    """Options for these models, or for all."""
    return [f"--model={name}={folders[name]}" for name in names or folders]


def refused_start(*arguments: object) -> str:
    """What `safelight-server serve` says that does not start with these."""
    command = [sys.executable, "-m", "safelight_server", "serve", *map(str, arguments)]
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1, ran.stderr
    return ran.stderr


class ServerProcess:
    """Starts `safelight-server serve` on a free port and waits until its log says `ready`; stops it on exit.

    What one server has compiled, the next ones find; `compiles` makes it compile everything itself.
    """

    MODULE = "safelight_server"

    def __init__(self, *arguments: str, ready: str = "ready: serving", compiles: bool = False) -> None:
        self._log = tempfile.NamedTemporaryFile("w+", encoding="utf-8", suffix=".log")  # noqa: SIM115 - closed in __exit__
        cache = "--no-cache" if compiles else f"--cache-dir={compiled.folder()}"
        command = [sys.executable, "-m", self.MODULE, "serve", "--listen", "127.0.0.1:0", cache, *arguments]
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=self._log, env=environment)
        try:
            self.wait_for(ready)
            found = re.search(r"listening on (unix:[^ ,]+|[^ ,]*:(\d+))", self.log())
            assert found, self.log()
        except BaseException:
            self._put_away()
            raise
        self.address = f"127.0.0.1:{found[2]}" if found[2] else found[1]

    def log(self) -> str:
        """Its whole lines so far. The server does not wait for them to be written: see wait_for."""
        text = Path(self._log.name).read_text(encoding="utf-8")
        return text[: text.rfind("\n") + 1]

    def wait_for(self, *words: str, patience: float = 180) -> str:
        """The first line of the log with all these words, which may be yet to come."""
        deadline = time.monotonic() + patience
        while True:
            over = self.process.poll() is not None or time.monotonic() > deadline
            for line in self.log().splitlines():
                if all(word in line for word in words):
                    return line
            if over:
                raise RuntimeError(f"no line of the server's log has {words}:\n{self.log()}")
            time.sleep(0.05)

    def stop(self, patience: float = 40) -> int:
        """SIGTERM, and the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(patience)

    def _put_away(self) -> None:
        self.process.kill()
        self.process.wait()
        self._log.close()

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self.stop()
        finally:
            self._put_away()
