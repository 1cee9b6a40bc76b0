"""Log lines, for people or as JSON, each with the id of the call that it belongs to. Logging never waits."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import time
from contextvars import ContextVar

from .outlet import Outlet

# gRPC writes lines of its own kind to standard error, one for each peer that does not speak TLS as it should.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

request_id: ContextVar[str] = ContextVar("request_id", default="-")

STDERR = 2
LAST_LINES = 1.0  # seconds for them to reach the reader when the process ends


def printable(text: str) -> str:
    """What of a caller's id may stand in a log line, and in the headers of an answer: printable ASCII alone."""
    return "".join(character for character in text[:64] if " " <= character <= "~")


class Human(logging.Formatter):
    """A line as people read it, with the local time; an exception's traceback follows it."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        text = f"{clock} {record.levelname.lower():7} {request_id.get():16} {record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class Json(logging.Formatter):
    """A line as programs read it: one object, with the time in UTC."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{record.msecs:03.0f}Z",
            "level": record.levelname,
            "logger": record.name,
            "request_id": request_id.get(),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


FORMATS = {"human": Human, "json": Json}


class _Handler(logging.StreamHandler[io.TextIOWrapper]):
    """Formats in the thread and the call that logs, for there `request_id` is known; the outlet's thread writes."""

    def __init__(self, outlet: Outlet, formatter: logging.Formatter) -> None:
        super().__init__(io.TextIOWrapper(outlet, "utf-8", "backslashreplace", write_through=True))
        self.setFormatter(formatter)
        self._outlet = outlet

    def close(self) -> None:
        """The logging module calls this when the process ends. It waits for the last lines, but not for ever."""
        if self._outlet.drain(LAST_LINES):
            sys.stderr = sys.__stderr__  # for what Python itself says after this
        super().close()


def start(format: str, level: str) -> None:
    """Sends the log to standard error, and what Python itself writes there: a reader that stopped stops nobody."""
    formatter = FORMATS[format]()
    outlet = Outlet(STDERR, lambda count: formatter.format(_dropped(count)) + "\n")
    handler = _Handler(outlet, formatter)
    sys.stderr = handler.stream
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)  # a library may have called it already


def _dropped(count: int) -> logging.LogRecord:
    text = "%d lines of this log were dropped: whoever reads it took none for a while"
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, (count,), None)


def _open_standard_files() -> None:
    """A program may be started with some of them closed. The next file opened would be in their place: a client's."""
    for descriptor in (0, 1, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number is taken, which is this one


_open_standard_files()  # now, and not in `start`: a library that is imported before that may open files of its own
