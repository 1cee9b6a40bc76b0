"""A Health/Watch that takes nothing: the server leaves all the same."""

from __future__ import annotations

import time
from collections.abc import Iterator

from abusing.calls import WATCH
from abusing.finding import Effort, Finding, at_most
from abusing.frames import BareClient
from abusing.plain import COMMAND
from abusing.process import VEGA, Server

GRACE = 5
MORE = 4  # seconds that leaving may take beyond that


def measure(effort: Effort) -> Iterator[Finding]:
    for window, name in ((65535, "open"), (0, "closed")):
        with Server(VEGA, "--no-verify", f"--grace={GRACE}") as server:
            took = _leaving(server, window, GRACE + 20)
        yield at_most(f"from SIGTERM to the end, window {name}", took, GRACE + MORE, " s", control=window > 0)
    if not effort.quick:
        with Server(command=COMMAND) as plain:
            took = _leaving(plain, 0, GRACE + MORE)
        told = f"{took:.1f} s" if took < float("inf") else f"runs on after {GRACE + MORE} s"
        yield Finding("the library's own servicer, window closed", told, "runs on", took == float("inf"), control=True)


def _leaving(server: Server, window: int, patience: float) -> float:
    """Seconds from SIGTERM to the end while there is such a watcher."""
    with BareClient(server.address, window) as client:
        client.call(WATCH, b"")
        time.sleep(1)
        server.signal()
        return server.seconds_to_end(patience)
