"""A server of the demo models in a process of its own, for as long as a command needs one."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safelight_server.errors import LoadError

READY = "ready: serving"
ADDRESS = re.compile(r"listening on (\S+),")
LOOK_AGAIN = 0.1  # seconds
PATIENCE = 60.0  # seconds for it to leave, after which it is ended


@contextmanager
def demo_server(log: Path) -> Iterator[str]:
    """Its address, once it is ready; at the end it has left. Raises LoadError, with its log, if it does not start."""
    command = [sys.executable, "-m", "safelight_server", "serve", "--listen", "127.0.0.1:0"]
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=file)
    try:
        yield _address(process, log)
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    while True:
        ended = process.poll() is not None
        text = log.read_text(encoding="utf-8", errors="replace")
        if READY in text and (found := ADDRESS.search(text)):
            return found[1]
        if ended:
            raise LoadError(f"the server of the demo models ended before it was ready; its log is {log}:\n{text}")
        time.sleep(LOOK_AGAIN)
