"""A job that is followed over as many calls as it takes: what each asks for, and what of its events is new."""

from __future__ import annotations

from typing import Any

import grpc

from .accumulator import Accumulator
from .errors import SafelightError, TimedOut, cancelled
from .events import Event, ImageDone, Message, Preview, Progress, Queued, Rested, Resumed
from .results import Result
from .resuming import Resuming
from .retries import Tries
from .statuses import error_from
from .terms import Asked
from .v1 import images_pb2 as pb
from .v1 import jobs_pb2 as jobs

Request = pb.StreamRequest | jobs.AttachRequest
Drawn = pb.GenerateRequest | pb.RefineRequest


class Hold:
    """A job that this side has asked for, until it is over or left."""

    def __init__(self, asked: Asked | None, drawn: Drawn | None = None, job_id: str = "") -> None:
        self.drawn, self.job_id = drawn, job_id
        self.cancels = asked is not None and asked.cancels
        self.is_over = asked is not None and asked.is_plain  # nobody need be told that it is left

    def submission(self) -> jobs.SubmitRequest | None:
        """What finds the job of a call that has not told its id: the same request."""
        if isinstance(self.drawn, pb.GenerateRequest):
            return jobs.SubmitRequest(generate=self.drawn)
        return None if self.drawn is None else jobs.SubmitRequest(refine=self.drawn)


class Following:
    """The job of a Stream or an Attach, and all its events. Does no I/O: `stream` and `aio_stream` do."""

    def __init__(
        self, request: Request, address: str, request_id: str, timeout: float | None, asked: Asked | None = None
    ) -> None:
        self._request, self._address, self.request_id = request, address, request_id
        resumes = asked is None or asked.resumes
        self.tries = Resuming(address, timeout) if resumes else Tries(address, timeout)
        self.hold = Hold(asked, _drawn_in(request), getattr(request, "job_id", ""))
        self._accumulator = Accumulator()
        self._lasting = getattr(request, "after_sequence", 0)  # the number of the last event of those that come once
        self._told: set[object] = set()
        self._newest: dict[type[Event], int] = {}

    @property
    def job_id(self) -> str:
        return self.hold.job_id

    def next_request(self) -> Request:
        """What the next call asks for: the job that is known, after what was heard of it; or the job."""
        if not self.job_id:
            return self._request
        asked = self._request
        return jobs.AttachRequest(
            job_id=self.job_id,
            after_sequence=self._lasting,
            preview=asked.preview if asked.HasField("preview") else None,
            max_image_bytes=asked.max_image_bytes if asked.HasField("max_image_bytes") else None,
        )

    def take(self, message: Message) -> Event | None:
        """The event in a message; None for one that was told before, and for what Accumulator.take says."""
        self.hold.job_id = message.job_id or self.hold.job_id
        if isinstance(self.tries, Resuming):
            self.tries.heard()
        event = self._accumulator.take(message)
        if event is None or not self._is_new(event):
            return None
        return event

    def ended(self) -> None:
        """There is no more to come."""
        self.hold.is_over = True

    def result(self) -> Result:
        return self._accumulator.result()

    def wait_after(self, error: grpc.RpcError) -> float | None:
        """Seconds until the next call; None: the error stands."""
        return self.tries.wait_after(error) if isinstance(self.tries, Resuming) else None

    def failure(self, error: grpc.RpcError) -> SafelightError:
        """What to raise. A job whose caller has no more time goes on, unless it is left."""
        failed = error_from(self.tries.cause(error), self._address, self.request_id)
        failed.job_id = self.job_id
        if not isinstance(failed, TimedOut):
            self.ended()
        return failed

    def cancelled(self) -> SafelightError:
        return cancelled(self.request_id)

    def _is_new(self, event: Event) -> bool:
        if isinstance(event, (Queued, Progress, Preview)):
            is_new = event.sequence > self._newest.get(type(event), 0) or not event.sequence
            self._newest[type(event)] = max(event.sequence, self._newest.get(type(event), 0))
            return is_new
        self._lasting = max(self._lasting, event.sequence)
        key = _key(event)
        is_new = key not in self._told
        self._told.add(key)
        return is_new


def _key(event: Event) -> object:
    """What is told once: a start and an end of the job, and of each picture; and each time that it was resumed."""
    if isinstance(event, Resumed):
        return event.sequence
    index = event.index if isinstance(event, ImageDone) else event.image_index if isinstance(event, Rested) else None
    return type(event), index


def _drawn_in(request: Any) -> Drawn | None:
    method = request.WhichOneof("request") if isinstance(request, pb.StreamRequest) else None
    return getattr(request, method) if method else None
