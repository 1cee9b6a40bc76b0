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


class ServerProcess:
    """Starts `safelight-server serve` on a free port and waits until it is ready; stops it on exit."""

    def __init__(self, *arguments: str, ready: str = "ready: serving", patience: float = 180) -> None:
        self._log = tempfile.NamedTemporaryFile("w+", suffix=".log")  # noqa: SIM115 - closed in __exit__
        command = [sys.executable, "-m", "safelight_server", "serve", "--listen", "127.0.0.1:0", *arguments]
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=self._log, env=environment)
        deadline = time.monotonic() + patience
        while ready not in self.log():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise RuntimeError(f"the server did not get ready:\n{self.log()}")
            time.sleep(0.05)
        found = re.search(r"listening on [^ ,]*:(\d+)", self.log())
        assert found, self.log()
        self.address = f"127.0.0.1:{found.group(1)}"

    def log(self) -> str:
        return Path(self._log.name).read_text(encoding="utf-8")

    def stop(self, patience: float = 40) -> int:
        """SIGTERM, and the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(patience)

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self.stop()
        finally:
            self.process.kill()
            self._log.close()
