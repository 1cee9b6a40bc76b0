"""The calls of an asynchronous client; `line` has the same for ordinary code."""

# ruff: noqa: ASYNC109 - a timeout here is the call's deadline, which goes to the server

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast
from weakref import WeakSet

import grpc.aio

from .aio_stream import AsyncStream
from .channel import CallMetadata, timeout_of
from .errors import SafelightError, TimedOut, cancelled
from .following import Drawn, Following, Hold, Request
from .line import GOODBYE, Metadata
from .results import Result, result_from
from .resuming import Resuming
from .retries import TRIES, Tries
from .statuses import error_from
from .terms import Asked
from .v1 import images_pb2 as pb
from .v1 import jobs_pb2 as jobs
from .v1.images_pb2_grpc import ImageServiceStub
from .v1.jobs_pb2_grpc import JobServiceStub
from .v1.models_pb2_grpc import ModelServiceStub

if TYPE_CHECKING:
    from .v1.images_pb2_grpc import ImageServiceAsyncStub
    from .v1.jobs_pb2_grpc import JobServiceAsyncStub
    from .v1.models_pb2_grpc import ModelServiceAsyncStub

Sent = TypeVar("Sent")
Response = TypeVar("Response")


class AsyncLine:
    """What an asynchronous client and its streams and jobs speak through."""

    def __init__(self, address: str, timeout: float | None, channel: grpc.aio.Channel, metadata: CallMetadata) -> None:
        self.address, self._timeout, self._metadata = address, timeout, metadata
        self.images = cast("ImageServiceAsyncStub", ImageServiceStub(channel))
        self.jobs = cast("JobServiceAsyncStub", JobServiceStub(channel))
        self.models = cast("ModelServiceAsyncStub", ModelServiceStub(channel))
        self.closed = False
        self._holds: WeakSet[Hold] = WeakSet()  # of jobs that end when this side leaves
        self._goodbyes: set[asyncio.Task[None]] = set()
        self._channel = channel

    def patience(self, timeout: float | None, default: float | None = None) -> float | None:
        """Seconds for a call: what it says itself, else what the client says."""
        return timeout_of(timeout) if timeout is not None else self._timeout or default

    async def call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Sent, Response],
        request: Sent,
        timeout: float | None,
        default: float | None = None,
        most: int = TRIES,
    ) -> Response:
        """Calls it, and again while the server is unavailable. Raises SafelightError."""
        return await self._tried(method, request, Tries(self.address, self.patience(timeout, default), most))

    async def draw(self, request: Drawn, timeout: float | None, asked: Asked) -> Result:
        """Generates or refines. Whoever is cut off asks for the same job again; who leaves says so."""
        method: Any = self.images.Generate if isinstance(request, pb.GenerateRequest) else self.images.Refine
        patience = self.patience(timeout)
        tries = Resuming(self.address, patience) if asked.resumes else Tries(self.address, patience)
        async with self._held(Hold(asked, request)):
            return result_from(await self._tried(method, request, tries))

    def follow(self, request: Request, timeout: float | None, asked: Asked | None = None) -> AsyncStream:
        """The events of a job, from the first one to the last; `asked` is for a new one."""
        request_id, metadata = self._metadata.of_call()
        following = Following(request, self.address, request_id, self.patience(timeout), asked)
        if following.hold.cancels:
            self._holds.add(following.hold)
        return AsyncStream(self, following, metadata)

    def open(self, following: Following, metadata: Metadata) -> grpc.aio.UnaryStreamCall[Any, Any]:
        """The next call of a job that is followed."""
        request = following.next_request()
        method: Any = self.images.Stream if isinstance(request, pb.StreamRequest) else self.jobs.Attach
        call: grpc.aio.UnaryStreamCall[Any, Any] = method(request, timeout=following.tries.timeout(), metadata=metadata)
        return call

    def leave(self, hold: Hold) -> None:
        """Tells the server to stop a job that is not over; `goodbyes` waits for that."""
        if hold.is_over:
            return
        hold.is_over = True
        task = asyncio.get_running_loop().create_task(self._say_goodbye(hold))
        self._goodbyes.add(task)
        task.add_done_callback(self._goodbyes.discard)

    async def goodbyes(self) -> None:
        """Waits until the server knows of the jobs that were left, if it can be told."""
        if self._goodbyes:
            await asyncio.wait(self._goodbyes)

    async def close(self) -> None:
        """Leaves all jobs, and closes the connection."""
        self.closed = True
        for hold in list(self._holds):
            self.leave(hold)
        await self.goodbyes()
        await self._channel.close()

    async def _say_goodbye(self, hold: Hold) -> None:
        """If that cannot be told, the job ends after its grace."""
        more: Any = {"timeout": GOODBYE, "metadata": self._metadata.of_call()[1]}
        with suppress(grpc.aio.AioRpcError, grpc.aio.UsageError):
            submission = None if hold.job_id else hold.submission()
            if submission is not None:
                hold.job_id = (await self.jobs.Submit(submission, **more)).job.id
            if hold.job_id:
                await self.jobs.CancelJob(jobs.CancelJobRequest(job_id=hold.job_id), **more)

    @asynccontextmanager
    async def _held(self, hold: Hold) -> AsyncIterator[None]:
        """Around a call that draws: whoever leaves it early, or has no more time, stops its job."""
        if hold.cancels:
            self._holds.add(hold)
        try:
            yield
        except BaseException as error:
            if hold.cancels and (isinstance(error, TimedOut) or not isinstance(error, SafelightError)):
                self.leave(hold)
                await self.goodbyes()
            raise
        finally:
            hold.is_over = True

    async def _tried(
        self, method: grpc.aio.UnaryUnaryMultiCallable[Sent, Response], request: Sent, tries: Tries
    ) -> Response:
        request_id, metadata = self._metadata.of_call()
        while True:
            try:
                response = await method(request, timeout=tries.timeout(), metadata=metadata)
            except grpc.aio.AioRpcError as error:
                wait = tries.wait_after(error)
                if wait is None:
                    raise error_from(tries.cause(error), self.address, request_id) from error
                await asyncio.sleep(wait)
                if self.closed:
                    raise cancelled(request_id) from error
            else:
                tries.succeeded()
                return response
