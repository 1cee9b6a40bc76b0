"""Our server, in a process of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from safelight import Client

from .environment import environment

PATIENCE = 600.0  # seconds to load full-size models from a cold disk
SLOTS = 8  # jobs drawn at a time: the most that a row sends


class Server:
    """A server that starts at once; `ready` waits until it serves. `more` are variables of its environment."""

    def __init__(
        self,
        models: Mapping[str, Path],
        log: Path,
        *options: str,
        module: str = "safelight_server",
        **more: str,
    ) -> None:
        self._log = log
        named = [f"--model={name}={folder}" for name, folder in models.items()]
        command = [sys.executable, "-m", module, "serve", "--listen=127.0.0.1:0", f"--slots={SLOTS}", *named, *options]
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment(**more)
            )

    def ready(self) -> Client:
        """A client of it. Raises RuntimeError with the last line of its log where it does not come up."""
        deadline = time.monotonic() + PATIENCE
        while "ready: serving" not in (log := self._log.read_text(encoding="utf-8")):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not get ready: {log.strip().splitlines()[-1:]}")
            time.sleep(0.005)
        found = re.search(r"listening on [^ ,]*:(\d+)", log)
        assert found, log
        return Client(f"127.0.0.1:{found[1]}")

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        finally:
            self.process.kill()
