"""The events of a job, for ordinary code; `aio_stream` has the same for asyncio."""

from __future__ import annotations

from types import TracebackType

import grpc

from .accumulator import Accumulator
from .events import Event
from .results import Result
from .statuses import error_from
from .v1 import images_pb2 as pb


class Stream:
    """The events of a job, as they happen. Leaving the `with`, or dropping the stream, cancels the job."""

    def __init__(self, call: grpc._CallIterator[pb.StreamResponse], address: str = "", request_id: str = "") -> None:
        self._call, self._address, self._request_id = call, address, request_id
        self._accumulator = Accumulator()

    @property
    def job_id(self) -> str:
        """The server's id of the job; empty before the first event."""
        return self._accumulator.job_id

    def final(self) -> Result:
        """Reads the stream to its end, and returns the result. Raises what iterating raises."""
        for _ in self:
            pass
        return self._accumulator.result()

    def cancel(self) -> None:
        """Stops the work on the server; reading on raises Cancelled. May be called from any thread."""
        self._call.cancel()

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Event:
        try:
            # A loop: an event that is newer than this client is passed over.
            while (event := self._accumulator.take(next(self._call))) is None:
                pass
            return event
        except grpc.RpcError as error:
            raise error_from(error, self._address, self._request_id) from error

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.cancel()
