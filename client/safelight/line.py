"""The calls of a client: tried again, followed, left by their user; `aio_line` has it for asyncio."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar
from weakref import WeakSet

import grpc

from .channel import CallMetadata, timeout_of
from .errors import SafelightError, TimedOut, cancelled
from .following import Drawn, Following, Hold, Request
from .interruptible import Reading, answer_of
from .results import Result, result_from
from .resuming import Resuming
from .retries import TRIES, Tries
from .statuses import error_from
from .stream import Stream
from .terms import Asked
from .v1 import images_pb2 as pb
from .v1 import jobs_pb2 as jobs
from .v1.images_pb2_grpc import ImageServiceStub
from .v1.jobs_pb2_grpc import JobServiceStub
from .v1.models_pb2_grpc import ModelServiceStub

GOODBYE = 2.0  # seconds that it may take to say that a job is left

Sent = TypeVar("Sent")
Response = TypeVar("Response")
Metadata = tuple[tuple[str, Any], ...]


class Line:
    """What a client and its streams and jobs speak through."""

    def __init__(self, address: str, timeout: float | None, channel: grpc.Channel, metadata: CallMetadata) -> None:
        self.address, self._timeout, self._metadata = address, timeout, metadata
        self.images, self.jobs = ImageServiceStub(channel), JobServiceStub(channel)
        self.models = ModelServiceStub(channel)
        self.closed = threading.Event()
        self._holds: WeakSet[Hold] = WeakSet()  # of jobs that end when this side leaves
        self._channel = channel

    def patience(self, timeout: float | None, default: float | None = None) -> float | None:
        """Seconds for a call: what it says itself, else what the client says."""
        return timeout_of(timeout) if timeout is not None else self._timeout or default

    def call(
        self,
        method: grpc.UnaryUnaryMultiCallable[Sent, Response],
        request: Sent,
        timeout: float | None,
        default: float | None = None,
        most: int = TRIES,
    ) -> Response:
        """Calls it, and again while the server is unavailable. Raises SafelightError."""
        return self._tried(method, request, Tries(self.address, self.patience(timeout, default), most))

    def draw(self, request: Drawn, timeout: float | None, asked: Asked) -> Result:
        """Generates or refines. Whoever is cut off asks for the same job again; who leaves says so."""
        method: Any = self.images.Generate if isinstance(request, pb.GenerateRequest) else self.images.Refine
        patience = self.patience(timeout)
        tries = Resuming(self.address, patience) if asked.resumes else Tries(self.address, patience)
        with self._held(Hold(asked, request)):
            return result_from(self._tried(method, request, tries))

    def follow(self, request: Request, timeout: float | None, asked: Asked | None = None) -> Stream:
        """The events of a job, from the first one to the last; `asked` is for a new one."""
        request_id, metadata = self._metadata.of_call()
        following = Following(request, self.address, request_id, self.patience(timeout), asked)
        if following.hold.cancels:
            self._holds.add(following.hold)
        return Stream(self, following, metadata)

    def open(self, following: Following, metadata: Metadata) -> Reading:
        """The next call of a job that is followed."""
        request = following.next_request()
        method: Any = self.images.Stream if isinstance(request, pb.StreamRequest) else self.jobs.Attach
        return Reading(partial(method, request, timeout=following.tries.timeout(), metadata=metadata))

    def leave(self, hold: Hold, *, wait: bool = True) -> None:
        """Tells the server to stop a job that is not over. If that cannot be told, the job ends after its grace."""
        if hold.is_over:
            return
        hold.is_over = True
        more: Any = {"timeout": GOODBYE, "metadata": self._metadata.of_call()[1]}
        with suppress(grpc.RpcError, ValueError):  # ValueError: the channel is closed
            submission = hold.submission() if wait and not hold.job_id else None
            if submission is not None:
                hold.job_id = answer_of(partial(self.jobs.Submit.future, submission, **more)).job.id
            if hold.job_id:
                begin = partial(self.jobs.CancelJob.future, jobs.CancelJobRequest(job_id=hold.job_id), **more)
                if wait:
                    answer_of(begin)
                else:
                    begin().add_done_callback(lambda _: None)  # keeps the call, which is cancelled when it is dropped

    def close(self) -> None:
        """Leaves all jobs, and closes the connection."""
        self.closed.set()
        for hold in list(self._holds):
            self.leave(hold)
        self._channel.close()

    @contextmanager
    def _held(self, hold: Hold) -> Iterator[None]:
        """Around a call that draws: whoever leaves it early, or has no more time, stops its job."""
        if hold.cancels:
            self._holds.add(hold)
        try:
            yield
        except BaseException as error:
            if hold.cancels and (isinstance(error, TimedOut) or not isinstance(error, SafelightError)):
                self.leave(hold)
            raise
        finally:
            hold.is_over = True

    def _tried(self, method: grpc.UnaryUnaryMultiCallable[Sent, Response], request: Sent, tries: Tries) -> Response:
        request_id, metadata = self._metadata.of_call()
        while True:
            try:
                begin = partial(method.future, request, timeout=tries.timeout(), metadata=metadata)
                response: Response = answer_of(begin)
            except grpc.RpcError as error:
                wait = tries.wait_after(error)
                if wait is None:
                    raise error_from(tries.cause(error), self.address, request_id) from error
                if self.closed.wait(wait):
                    raise cancelled(request_id) from error
            else:
                tries.succeeded()
                return response
