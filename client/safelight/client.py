"""The client for ordinary code; `aio` has its twin for asyncio."""

from __future__ import annotations

from types import TracebackType
from typing import TypeVar, Unpack

import grpc

from .channel import OPTIONS, QUICK, target, timeout_of
from .errors import error_from
from .events import Event
from .gathering import Gathering
from .health import METHOD, Check, Checked, Health, health_from
from .models import Model, models_from
from .pictures import ImageInput
from .progress import Watch, watching
from .requests import DrawOptions, Previews, generate_request, refine_request, stream_request
from .results import Result, result_from
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
    num_images, scheduler, scheduler_options, size_conditioning, refiner, output.
    """

    def __init__(self, address: str | None = None, *, timeout: float | None = None) -> None:
        self.address = target(address)
        self.timeout = timeout_of(timeout)
        self._channel = grpc.insecure_channel(self.address, OPTIONS)
        self._stub = ImageServiceStub(self._channel)
        self._check = self._channel.unary_unary(METHOD, Check.SerializeToString, Checked.FromString)

    def generate(
        self,
        prompt: str,
        *,
        progress: bool | Watch = False,
        timeout: float | None = None,
        **options: Unpack[DrawOptions],
    ) -> Result:
        """Draws pictures from words.

        Tried again when the server is unavailable, but not with `progress`: True shows a bar (needs tqdm), and a
        function is called with each event. Interrupting the call (Ctrl-C) stops the work on the server.
        """
        if progress:
            return self._watched(self.stream(prompt, previews=0, timeout=timeout, **options), progress)
        return result_from(self._call(self._stub.Generate, generate_request(prompt, options), timeout))

    def refine(
        self,
        image: ImageInput,
        prompt: str,
        *,
        strength: float | None = None,
        mask: ImageInput | None = None,
        progress: bool | Watch = False,
        timeout: float | None = None,
        **options: Unpack[DrawOptions],
    ) -> Result:
        """Redraws a picture: image to image, inpainting with a mask, or a pass of a refiner model.

        `image` and `mask` are Pillow images, paths, bytes of a file, or uint8 arrays (height, width[, 3]); white in the
        mask is drawn anew. `strength`, 0 to 1, is how much may change. Otherwise as `generate`.
        """
        if progress:
            stream = self.stream(
                prompt, image=image, mask=mask, strength=strength, previews=0, timeout=timeout, **options
            )
            return self._watched(stream, progress)
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
        timeout: float | None = None,
        **options: Unpack[DrawOptions],
    ) -> Stream:
        """Draws, or with `image` redraws, and tells as it happens; to be used in a `with`.

        `previews`: an int is one preview every so many steps, 0 is none; default: after every step. Never tried again.
        """
        request = stream_request(prompt, image, mask, strength, previews, options)
        return Stream(self._stub.Stream(request, timeout=self._patience(timeout)))

    def models(self, *, timeout: float | None = None) -> list[Model]:
        """What the server draws with; the first is the default."""
        return models_from(self._call(self._stub.ListModels, pb.ListModelsRequest(), timeout, QUICK))

    def health(self, model: str | None = None, *, timeout: float | None = None) -> Health:
        """SERVING (true in a condition) or not; of one model, or of the whole server.

        Raises NotFound for a name of which the server tells no health, and Unavailable when there is no server.
        """
        return health_from(self._call(self._check, Check(value=model or ""), timeout, QUICK))

    def close(self) -> None:
        """Cancels what still runs, and hangs up."""
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
    ) -> Response:
        call = method.future(request, timeout=self._patience(timeout, default))
        try:
            return call.result()
        except grpc.RpcError as error:
            raise error_from(error) from error
        except BaseException:
            call.cancel()  # Ctrl-C: nobody waits for this any more
            raise

    @staticmethod
    def _watched(stream: Stream, progress: bool | Watch) -> Result:
        with stream, watching(progress) as watch:
            for event in stream:
                watch(event)
            return stream.final()


class Stream:
    """The events of a job, as they happen. Leaving the `with`, or dropping the stream, cancels the job."""

    def __init__(self, call: grpc._CallIterator[pb.StreamResponse]) -> None:
        self._call = call
        self._gathering = Gathering()

    @property
    def job_id(self) -> str:
        """The server's name for the job; empty before the first event."""
        return self._gathering.job_id

    def final(self) -> Result:
        """Reads on to the end, and returns the result. Raises what iterating raises."""
        for _ in self:
            pass
        return self._gathering.result()

    def cancel(self) -> None:
        """Stops the work on the server; a stream that is read on raises Cancelled. May be called from any thread."""
        self._call.cancel()

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Event:
        try:
            # A loop, for events that this client does not know are passed over.
            while (event := self._gathering.take(next(self._call))) is None:
                pass
            return event
        except grpc.RpcError as error:
            raise error_from(error) from error

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.cancel()
