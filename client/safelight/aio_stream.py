"""The events of a job for asyncio; `stream` has the same for ordinary code."""

from __future__ import annotations

import asyncio
from types import TracebackType

import grpc.aio

from .accumulator import Accumulator
from .errors import cancelled
from .events import Event
from .results import Result
from .statuses import error_from
from .v1 import images_pb2 as pb


class AsyncStream:
    """The events of a job, as they happen. Leaving the `async with` cancels the job; dropping the stream does not."""

    def __init__(
        self,
        call: grpc.aio.UnaryStreamCall[pb.StreamRequest, pb.StreamResponse],
        address: str = "",
        request_id: str = "",
    ) -> None:
        self._call, self._address, self._request_id = call, address, request_id
        self._messages = aiter(call)
        self._accumulator = Accumulator()
        self._cancelled = False

    @property
    def job_id(self) -> str:
        """The server's id of the job; empty before the first event."""
        return self._accumulator.job_id

    async def final(self) -> Result:
        """Reads the stream to its end, and returns the result. Raises what iterating raises."""
        async for _ in self:
            pass
        return self._accumulator.result()

    def cancel(self) -> None:
        """Stops the work on the server; reading on raises Cancelled."""
        self._cancelled = True
        self._call.cancel()

    def __aiter__(self) -> AsyncStream:
        return self

    async def __anext__(self) -> Event:
        try:
            # A loop: an event that is newer than this client is passed over.
            while (event := self._accumulator.take(await anext(self._messages))) is None:
                pass
            return event
        except grpc.aio.AioRpcError as error:
            raise error_from(error, self._address, self._request_id) from error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._cancelled or (task and task.cancelling()):
                raise
            raise cancelled(self._request_id) from None  # it is the call that was cancelled, not the task that reads it

    async def __aenter__(self) -> AsyncStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.cancel()
