"""The client for asyncio; `client` has the same for ordinary code."""

# ruff: noqa: ASYNC109 - a timeout here is the call's deadline, which goes to the server

from __future__ import annotations

import asyncio
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar, Unpack, cast

import grpc.aio

from .accumulator import Accumulator
from .channel import METADATA, OPTIONS, QUICK, target, timeout_of
from .errors import cancelled
from .events import Event
from .health import METHOD, Check, Checked, Health, health_from
from .image_input import ImageInput
from .models import Model, models_from
from .progress import OnEvent, event_handler
from .requests import DrawOptions, Previews, generate_request, refine_request, stream_request
from .results import Result, result_from
from .retries import TRIES, Tries
from .statuses import error_from
from .v1 import images_pb2 as pb
from .v1.images_pb2_grpc import ImageServiceStub

if TYPE_CHECKING:
    from .v1.images_pb2_grpc import ImageServiceAsyncStub

Request = TypeVar("Request")
Response = TypeVar("Response")


class AsyncClient:
    """A connection to a Safelight server, for one event loop; closed by `async with` or `await close()`.

    Arguments, options and errors are those of `safelight.Client`. Cancelling a task that waits for a call stops the
    work on the server.
    """

    def __init__(self, address: str | None = None, *, timeout: float | None = None) -> None:
        self.address = target(address)
        self.timeout = timeout_of(timeout)
        self._closed = False

    async def generate(
        self,
        prompt: str,
        *,
        progress: bool | OnEvent = False,
        timeout: float | None = None,
        **options: Unpack[DrawOptions],
    ) -> Result:
        """Draws pictures from words; see `Client.generate`. A function as `progress` is called, not awaited."""
        if progress:
            return await self._follow(self.stream(prompt, previews=0, timeout=timeout, **options), progress)
        response = await self._call(self._stub.Generate, generate_request(prompt, options), timeout)
        return result_from(response)

    async def refine(
        self,
        image: ImageInput,
        prompt: str,
        *,
        strength: float | None = None,
        mask: ImageInput | None = None,
        progress: bool | OnEvent = False,
        timeout: float | None = None,
        **options: Unpack[DrawOptions],
    ) -> Result:
        """Redraws a picture; see `Client.refine`."""
        if progress:
            stream = self.stream(
                prompt, image=image, mask=mask, strength=strength, previews=0, timeout=timeout, **options
            )
            return await self._follow(stream, progress)
        request = refine_request(image, prompt, mask, strength, options)
        response = await self._call(self._stub.Refine, request, timeout)
        return result_from(response)

    def stream(
        self,
        prompt: str,
        *,
        image: ImageInput | None = None,
        mask: ImageInput | None = None,
        strength: float | None = None,
        previews: Previews | int | None = None,
        max_image_bytes: int | None = None,
        timeout: float | None = None,
        **options: Unpack[DrawOptions],
    ) -> AsyncStream:
        """Draws pictures, or with `image` redraws one; to be used in an `async with`. See `Client.stream`."""
        request = stream_request(prompt, image, mask, strength, previews, options, max_image_bytes)
        return AsyncStream(self._stub.Stream(request, timeout=self._patience(timeout), metadata=METADATA))

    async def models(self, *, timeout: float | None = None) -> list[Model]:
        """The models that the server draws with; the first is the default."""
        return models_from(await self._call(self._stub.ListModels, pb.ListModelsRequest(), timeout, QUICK))

    async def health(self, model: str | None = None, *, timeout: float | None = None) -> Health:
        """The health of one model, or of the whole server; see `Client.health`."""
        return health_from(await self._call(self._check, Check(value=model or ""), timeout, QUICK, most=1))

    async def close(self) -> None:
        """Cancels the calls that still run, and closes the connection."""
        self._closed = True
        await self._channel.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    # The channel belongs to the loop that runs when it is made, and a client may be made before there is one.
    @cached_property
    def _channel(self) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(self.address, OPTIONS)

    @cached_property
    def _stub(self) -> ImageServiceAsyncStub:
        return cast("ImageServiceAsyncStub", ImageServiceStub(self._channel))

    @cached_property
    def _check(self) -> grpc.aio.UnaryUnaryMultiCallable[Check, Checked]:
        return self._channel.unary_unary(METHOD, Check.SerializeToString, Checked.FromString)

    def _patience(self, timeout: float | None, default: float | None = None) -> float | None:
        return timeout_of(timeout) if timeout is not None else self.timeout or default

    async def _call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        timeout: float | None,
        default: float | None = None,
        most: int = TRIES,
    ) -> Response:
        tries = Tries(self.address, self._patience(timeout, default), most)
        while True:
            try:
                response = await method(request, timeout=tries.timeout(), metadata=METADATA)
            except grpc.aio.AioRpcError as error:
                wait = tries.wait_after(error)
                if wait is None:
                    raise error_from(error) from error
                await asyncio.sleep(wait)
                if self._closed:
                    raise cancelled() from error
            else:
                tries.succeeded()
                return response

    @staticmethod
    async def _follow(stream: AsyncStream, progress: bool | OnEvent) -> Result:
        async with stream:
            with event_handler(progress) as on_event:
                async for event in stream:
                    on_event(event)
            return await stream.final()


class AsyncStream:
    """The events of a job, as they happen. Leaving the `async with` cancels the job; dropping the stream does not."""

    def __init__(self, call: grpc.aio.UnaryStreamCall[pb.StreamRequest, pb.StreamResponse]) -> None:
        self._call = call
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
            raise error_from(error) from error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._cancelled or (task and task.cancelling()):
                raise
            raise cancelled() from None  # it is the call that was cancelled, not the task that reads it

    async def __aenter__(self) -> AsyncStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.cancel()
