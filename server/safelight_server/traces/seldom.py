"""What OpenTelemetry's libraries log, in the server's log: each thing once in a while, however often they say it."""

from __future__ import annotations

import logging
import time

log = logging.getLogger(__name__)

WHILE = 600.0  # seconds
OF_CALLERS = "opentelemetry.trace."  # what is wrong with a caller's headers, in the caller's own words: not for a log


class Seldom(logging.Handler):
    """Takes all that they log, until `close`; after it, nothing of it is logged. There is one in a process.

    An exporter that reaches nobody says so several times for each batch. Their texts are few: the values are left out.
    """

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[tuple[str, str], float] = {}
        self._theirs = logging.getLogger("opentelemetry")
        self._theirs.propagate = False
        self._theirs.addHandler(self)
        self._closed = False

    def emit(self, record: logging.LogRecord) -> None:
        kind, now = (record.name, str(record.msg)), time.monotonic()
        if self._closed or record.name.startswith(OF_CALLERS) or now - self._told.get(kind, -WHILE) < WHILE:
            return
        self._told[kind] = now
        again = f"; told again in {WHILE / 60:.0f} min at the earliest"
        log.log(record.levelno, "traces: %s%s", record.getMessage(), again)

    def close(self) -> None:
        self._closed = True
        super().close()
