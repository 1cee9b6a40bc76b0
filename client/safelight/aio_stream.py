"""The events of a job for asyncio; `stream` has the same for ordinary code."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

import grpc.aio

from .errors import TimedOut
from .events import Event
from .following import Following
from .results import Result

if TYPE_CHECKING:
    from .aio_line import AsyncLine


class AsyncStream:
    """The events of a job, as they happen; a lost link does not end them.

    Leaving the `async with` stops the job, as with Stream; dropping the stream does not.
    """

    def __init__(self, line: AsyncLine, following: Following, metadata: tuple[tuple[str, Any], ...]) -> None:
        self._line, self._following, self._metadata = line, following, metadata
        self._left = asyncio.Event()
        self._open()

    @property
    def job_id(self) -> str:
        """The server's id of the job; empty before the first event of a new one."""
        return self._following.job_id

    async def final(self) -> Result:
        """Reads the stream to its end, and returns the result. Raises what iterating raises."""
        async for _ in self:
            pass
        return self._following.result()

    def cancel(self) -> None:
        """Stops the work on the server; reading on raises Cancelled."""
        self._detach()
        self._line.leave(self._following.hold)

    def __aiter__(self) -> AsyncStream:
        return self

    async def __anext__(self) -> Event:
        try:
            return await self._next()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._left.is_set() and not (task and task.cancelling()):
                raise self._following.cancelled() from None  # it is the call that was cancelled, not its reader
            self._leave()
            raise

    async def _next(self) -> Event:
        while True:
            try:
                event = self._following.take(await anext(self._messages))
            except StopAsyncIteration:
                self._following.ended()
                raise
            except grpc.aio.AioRpcError as error:
                await self._go_on(error)
            else:
                if event is not None:  # None: it is newer than this client, or was told before
                    return event

    async def _go_on(self, error: grpc.aio.AioRpcError) -> None:
        """Opens the next call after one that failed. Raises what has ended the job, or this stream."""
        wait = None if self._left.is_set() else self._following.wait_after(error)
        if wait is None:
            failed = self._following.failure(error)
            if isinstance(failed, TimedOut):
                self._leave()
                await self._line.goodbyes()
            raise failed from error
        with suppress(TimeoutError):
            await asyncio.wait_for(self._left.wait(), wait)
        if self._left.is_set() or self._line.closed:
            raise self._following.cancelled() from error
        self._open()

    def _open(self) -> None:
        self._call = self._line.open(self._following, self._metadata)
        self._messages = aiter(self._call)

    def _detach(self) -> None:
        self._left.set()
        self._call.cancel()

    def _leave(self) -> None:
        if self._following.hold.cancels:
            self._line.leave(self._following.hold)

    async def __aenter__(self) -> AsyncStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._detach()
        self._leave()
        await self._line.goodbyes()
