"""The events of a job, for ordinary code; `aio_stream` has the same for asyncio."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any

import grpc

from .errors import TimedOut
from .events import Event
from .following import Following
from .results import Result

if TYPE_CHECKING:
    from .line import Line


class Stream:
    """The events of a job, as they happen; a lost link does not end them.

    Leaving the `with`, or dropping the stream, stops the job: not one that was asked for with `on_disconnect`, nor one
    whose events come from Job.events.
    """

    def __init__(self, line: Line, following: Following, metadata: tuple[tuple[str, Any], ...]) -> None:
        self._line, self._following, self._metadata = line, following, metadata
        self._left = threading.Event()
        self._call = line.open(following, metadata)

    @property
    def job_id(self) -> str:
        """The server's id of the job; empty before the first event of a new one."""
        return self._following.job_id

    def final(self) -> Result:
        """Reads the stream to its end, and returns the result. Raises what iterating raises."""
        for _ in self:
            pass
        return self._following.result()

    def cancel(self) -> None:
        """Stops the work on the server; reading on raises Cancelled. May be called from any thread."""
        self._detach()
        self._line.leave(self._following.hold)

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Event:
        while True:
            try:
                event = self._following.take(next(self._call))
            except StopIteration:
                self._following.ended()
                raise
            except grpc.RpcError as error:
                self._go_on(error)
            else:
                if event is not None:  # None: it is newer than this client, or was told before
                    return event

    def _go_on(self, error: grpc.RpcError) -> None:
        """Opens the next call after one that failed. Raises what has ended the job, or this stream."""
        wait = None if self._left.is_set() else self._following.wait_after(error)
        if wait is None:
            failed = self._following.failure(error)
            if isinstance(failed, TimedOut):
                self._leave()
            raise failed from error
        if self._left.wait(wait) or self._line.closed.is_set():
            raise self._following.cancelled() from error
        self._call = self._line.open(self._following, self._metadata)
        if self._left.is_set():
            self._call.cancel()

    def _detach(self) -> None:
        self._left.set()
        self._call.cancel()

    def _leave(self, *, wait: bool = True) -> None:
        if self._following.hold.cancels:
            self._line.leave(self._following.hold, wait=wait)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._detach()
        self._leave()

    def __del__(self) -> None:
        if hasattr(self, "_call"):
            self._leave(wait=False)
