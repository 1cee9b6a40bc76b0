"""The client for ordinary code; `aio` has the same for asyncio."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import TypeVar, Unpack

import grpc

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

Request = TypeVar("Request")
Response = TypeVar("Response")


class Client:
    """A connection to a Safelight server; may be used from several threads, and is closed by `with` or `close()`.

    `address` is "host:port" or "unix:path"; default $SAFELIGHT_ADDRESS, else localhost:50051.
    `timeout` is in seconds, for each call; default $SAFELIGHT_TIMEOUT, else as long as the drawing takes.
    Calls raise SafelightError (see `safelight.errors`). Where a call takes `**options`, see `safelight.DrawOptions`:
    model, prompt_2, negative_prompt, negative_prompt_2, width, height, steps, guidance_scale, guidance_rescale, seed,
    num_images, scheduler, scheduler_options, size_conditioning, refiner, output, priority, acceleration.
    """

    def __init__(self, address: str | None = None, *, timeout: float | None = None) -> None:
        self.address = target(address)
        self.timeout = timeout_of(timeout)
        self._channel = grpc.insecure_channel(self.address, OPTIONS)
        self._stub = ImageServiceStub(self._channel)
        self._closed = threading.Event()
        self._check = self._channel.unary_unary(METHOD, Check.SerializeToString, Checked.FromString)

    def generate(
        self,
        prompt: str,
        *,
        progress: bool | OnEvent = False,
        timeout: float | None = None,
        **options: Unpack[DrawOptions],
    ) -> Result:
        """Draws pictures from words.

        `progress`: True shows a bar (it needs tqdm, else ImportError); a function is called with each event. Without
        it, the call is tried again while the server is unavailable. Interrupting it (Ctrl-C) stops the server's work.
        """
        if progress:
            return self._follow(self.stream(prompt, previews=0, timeout=timeout, **options), progress)
        return result_from(self._call(self._stub.Generate, generate_request(prompt, options), timeout))

    def refine(
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
        """Redraws a picture: image to image, inpainting with a mask, or a pass of a refiner model.

        `image` and `mask` are Pillow images, paths, bytes of a file, or uint8 arrays (height, width[, 3]); where the
        mask is white, the picture is drawn anew. `strength`, 0 to 1, is how much may change. Everything else is as for
        `generate`. Raises what `picture_file` of `safelight.pictures` raises for what is no image.
        """
        if progress:
            stream = self.stream(
                prompt, image=image, mask=mask, strength=strength, previews=0, timeout=timeout, **options
            )
            return self._follow(stream, progress)
        request = refine_request(image, prompt, mask, strength, options)
        return result_from(self._call(self._stub.Refine, request, timeout))

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
    ) -> Stream:
        """Draws pictures, or with `image` redraws one, and gives the events as they happen. Use it in a `with`.

        `previews`: an int is one preview every so many steps, 0 is none; default: after every step. `max_image_bytes`,
        4096 or more: larger pictures come in messages of this size and are put together here, for a proxy that lets no
        large ones through. The call is never tried again.
        """
        request = stream_request(prompt, image, mask, strength, previews, options, max_image_bytes)
        return Stream(self._stub.Stream(request, timeout=self._patience(timeout), metadata=METADATA))

    def models(self, *, timeout: float | None = None) -> list[Model]:
        """The models that the server draws with; the first is the default."""
        return models_from(self._call(self._stub.ListModels, pb.ListModelsRequest(), timeout, QUICK))

    def health(self, model: str | None = None, *, timeout: float | None = None) -> Health:
        """The health of one model, or of the whole server; SERVING is true in a condition, everything else false.

        Raises NotFound for a name whose health the server does not know, and Unavailable when there is no server.
        """
        return health_from(self._call(self._check, Check(value=model or ""), timeout, QUICK, most=1))

    def close(self) -> None:
        """Cancels the calls that still run, and closes the connection."""
        self._closed.set()
        self._channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _patience(self, timeout: float | None, default: float | None = None) -> float | None:
        return timeout_of(timeout) if timeout is not None else self.timeout or default

    def _call(
        self,
        method: grpc.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        timeout: float | None,
        default: float | None = None,
        most: int = TRIES,
    ) -> Response:
        tries = Tries(self.address, self._patience(timeout, default), most)
        while True:
            try:
                response = self._try(method, request, tries.timeout())
            except grpc.RpcError as error:
                wait = tries.wait_after(error)
                if wait is None:
                    raise error_from(error) from error
                if self._closed.wait(wait):
                    raise cancelled() from error
            else:
                tries.succeeded()
                return response

    @staticmethod
    def _try(
        method: grpc.UnaryUnaryMultiCallable[Request, Response], request: Request, timeout: float | None
    ) -> Response:
        call = method.future(request, timeout=timeout, metadata=METADATA)
        try:
            return call.result()
        except grpc.RpcError:
            raise
        except BaseException:
            call.cancel()  # Ctrl-C: nobody waits for this any more
            raise

    @staticmethod
    def _follow(stream: Stream, progress: bool | OnEvent) -> Result:
        with stream, event_handler(progress) as on_event:
            for event in stream:
                on_event(event)
            return stream.final()


class Stream:
    """The events of a job, as they happen. Leaving the `with`, or dropping the stream, cancels the job."""

    def __init__(self, call: grpc._CallIterator[pb.StreamResponse]) -> None:
        self._call = call
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
            raise error_from(error) from error

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.cancel()
