"""The server's log goes to a pipe that nobody reads any more."""

from __future__ import annotations

import fcntl
import re
import signal
import subprocess
import termios
import time
from collections.abc import Iterator

from abusing.calls import GENERATE, ask, channel, check, job, run, seconds
from abusing.finding import Effort, Finding, at_least, at_most, percentile
from abusing.process import SERVE

PIPE = 4096  # bytes: the smallest there is
REFUSED = 300


def measure(effort: Effort) -> Iterator[Finding]:
    command = [*SERVE, "--no-verify", "--grace=5"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            fcntl.fcntl(process.stderr, fcntl.F_SETPIPE_SZ, PIPE)
            address = _ready(process)
            refusals, checks, answered = run(_asked(address))
            waiting = int.from_bytes(fcntl.ioctl(process.stderr, termios.FIONREAD, bytes(4)), "little")
            process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            ended = _end(process, 20)
            took = time.monotonic() - began if ended else float("inf")
        finally:
            process.kill()
    yield at_least("bytes that lie in the pipe", waiting, PIPE // 2, control=True)
    yield at_least(f"refusals answered, of {REFUSED}", answered, REFUSED)
    yield at_most("the last refusals, p99", percentile(refusals, 0.99), 1, " s")
    yield at_most("health meanwhile, the slowest", max(checks), 1, " s")
    yield at_most("from SIGTERM to the end", took, 9, " s")


def _ready(process: subprocess.Popen[str]) -> str:
    """Its address, once it serves; from here on nobody reads."""
    assert process.stderr
    address = ""
    for line in process.stderr:
        if found := re.search(r"listening on [^ ,]*:(\d+)", line):
            address = f"127.0.0.1:{found.group(1)}"
        if "ready: " in line:
            return address
    raise RuntimeError("the server has ended")


def _end(process: subprocess.Popen[str], patience: float) -> bool:
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        return False
    return True


async def _asked(address: str) -> tuple[list[float], list[float], int]:
    """Seconds for each refusal, and for each check of health; and how many refusals there were."""
    refusals, checks, answered = [], [], 0
    bad = job(steps=0, width=3, prompt="x" * 1000).SerializeToString()
    async with channel(address) as connection:
        for place in range(REFUSED):
            took, code = await seconds(ask(connection, GENERATE, bad, timeout=5))
            refusals.append(took)
            answered += code == "INVALID_ARGUMENT"
            if code == "DEADLINE_EXCEEDED":
                break
            if place % 30 == 29:
                took, code = await check(connection, 5)
                checks.append(took if code == "OK" else float("inf"))
        took, code = await check(connection, 5)
        checks.append(took if code == "OK" else float("inf"))
    return refusals, checks, answered
