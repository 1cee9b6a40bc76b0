"""The client for ordinary code; `aio` has the same for asyncio."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

import grpc

from .acceleration import Acceleration
from .addresses import target
from .arguments import documented, options_of
from .channel import OPTIONS, QUICK, CallMetadata, Pairs, options_for, timeout_of
from .errors import NotFound, TimedOut, Unavailable
from .health import METHOD, Check, Checked, Health, health_from
from .image_input import ImageInput
from .job_calls import JobCalls
from .line import Line
from .models import Model, model_from, models_from
from .options import OnDisconnect, Output, Previews, Priority, PromptSyntax, Refiner, SchedulerOptions, SizeConditioning
from .pictures import Format
from .progress import OnEvent, event_handler, previews_of
from .requests import generate_request, refine_request, stream_request
from .results import Result
from .security import Cert, File, security_of
from .stream import Stream
from .terms import asked
from .v1 import images_pb2 as pb
from .v1 import models_pb2 as models
from .waiting import Waiting


class Client(JobCalls):
    """A connection to a Safelight server; may be used from several threads, and is closed by `with` or `close()`.

    `address` is "host:port", "https://host:port" or "unix:path"; default $SAFELIGHT_ADDRESS, else localhost:50051. Of
    several, a list or one text with commas, calls take turns on those that are healthy. `timeout` is in seconds, for
    each call; default $SAFELIGHT_TIMEOUT, else as long as the drawing takes.
    `token` says who calls; default $SAFELIGHT_TOKEN. It goes to this machine, or over https. `ca` is a PEM file with
    the certificates that the server's may be signed by; default $SAFELIGHT_CA, else those that gRPC comes with. `cert`
    is this side's own certificate, for a server that asks for one: a PEM file with its key, or (certificate, key).
    `credentials` (grpc.ssl_channel_credentials()) are for whoever makes them otherwise. `metadata` is sent with each
    call, and `channel_options` go to gRPC, both as pairs or a mapping.
    Calls raise SafelightError (see `safelight.errors`).
    """

    def __init__(
        self,
        address: str | Sequence[str] | None = None,
        *,
        timeout: float | None = None,
        token: str | None = None,
        ca: File | None = None,
        cert: Cert | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        metadata: Pairs | None = None,
        channel_options: Pairs | None = None,
    ) -> None:
        self.address, https = target(address)
        self.timeout = timeout_of(timeout)
        security = security_of(self.address, https, credentials, token, ca, cert)
        options = options_for(self.address, OPTIONS, channel_options)
        channel = (
            grpc.insecure_channel(self.address, options)
            if security.credentials is None
            else grpc.secure_channel(self.address, security.credentials, options)
        )
        self._line = Line(self.address, self.timeout, channel, CallMetadata(options, security.authorization, metadata))
        self._check = channel.unary_unary(METHOD, Check.SerializeToString, Checked.FromString)

    @documented
    def generate(
        self,
        prompt: str,
        *,
        model: str | None = None,
        prompt_2: str | None = None,
        negative_prompt: str | None = None,
        negative_prompt_2: str | None = None,
        width: int | None = None,
        height: int | None = None,
        steps: int | None = None,
        guidance_scale: float | None = None,
        guidance_rescale: float | None = None,
        seed: int | None = None,
        num_images: int | None = None,
        scheduler: str | None = None,
        scheduler_options: SchedulerOptions | None = None,
        size_conditioning: SizeConditioning | None = None,
        refiner: Refiner | str | None = None,
        output: Output | Format | None = None,
        priority: Priority | None = None,
        acceleration: Acceleration | None = None,
        prompt_syntax: PromptSyntax | None = None,
        request_id: str | None = None,
        on_disconnect: OnDisconnect | None = None,
        grace: float | None = None,
        retain: float | None = None,
        stop_at_step: int | None = None,
        wait_for_model: bool | None = None,
        progress: bool | OnEvent = False,
        resume: bool = True,
        timeout: float | None = None,
    ) -> Result:
        """Draws pictures from words.

        The call is tried again while the server is unavailable, and goes on after a lost link. Interrupting it (Ctrl-C)
        stops the server's work.
        """
        options = options_of(locals())
        if progress:
            stream = self.stream(prompt, previews=previews_of(progress), resume=resume, timeout=timeout, **options)
            return self._follow(stream, progress)
        ask = asked(options, resume)
        return self._line.draw(generate_request(prompt, ask.options), timeout, ask)

    @documented
    def refine(
        self,
        image: ImageInput,
        prompt: str,
        *,
        strength: float | None = None,
        mask: ImageInput | None = None,
        model: str | None = None,
        prompt_2: str | None = None,
        negative_prompt: str | None = None,
        negative_prompt_2: str | None = None,
        width: int | None = None,
        height: int | None = None,
        steps: int | None = None,
        guidance_scale: float | None = None,
        guidance_rescale: float | None = None,
        seed: int | None = None,
        num_images: int | None = None,
        scheduler: str | None = None,
        scheduler_options: SchedulerOptions | None = None,
        size_conditioning: SizeConditioning | None = None,
        refiner: Refiner | str | None = None,
        output: Output | Format | None = None,
        priority: Priority | None = None,
        acceleration: Acceleration | None = None,
        prompt_syntax: PromptSyntax | None = None,
        request_id: str | None = None,
        on_disconnect: OnDisconnect | None = None,
        grace: float | None = None,
        retain: float | None = None,
        stop_at_step: int | None = None,
        wait_for_model: bool | None = None,
        progress: bool | OnEvent = False,
        resume: bool = True,
        timeout: float | None = None,
    ) -> Result:
        """Redraws a picture: image to image, inpainting with a mask, or a pass of a refiner model.

        What is larger than a server takes is scaled down, with the warning PictureScaled. Raises what `picture_file` of
        `safelight.image_input` raises for what is no image.
        """
        options = options_of(locals())
        if progress:
            stream = self.stream(
                prompt,
                image=image,
                mask=mask,
                strength=strength,
                previews=previews_of(progress),
                resume=resume,
                timeout=timeout,
                **options,
            )
            return self._follow(stream, progress)
        ask = asked(options, resume)
        return self._line.draw(refine_request(image, prompt, mask, strength, ask.options), timeout, ask)

    @documented
    def stream(
        self,
        prompt: str,
        *,
        image: ImageInput | None = None,
        mask: ImageInput | None = None,
        strength: float | None = None,
        model: str | None = None,
        prompt_2: str | None = None,
        negative_prompt: str | None = None,
        negative_prompt_2: str | None = None,
        width: int | None = None,
        height: int | None = None,
        steps: int | None = None,
        guidance_scale: float | None = None,
        guidance_rescale: float | None = None,
        seed: int | None = None,
        num_images: int | None = None,
        scheduler: str | None = None,
        scheduler_options: SchedulerOptions | None = None,
        size_conditioning: SizeConditioning | None = None,
        refiner: Refiner | str | None = None,
        output: Output | Format | None = None,
        priority: Priority | None = None,
        acceleration: Acceleration | None = None,
        prompt_syntax: PromptSyntax | None = None,
        request_id: str | None = None,
        on_disconnect: OnDisconnect | None = None,
        grace: float | None = None,
        retain: float | None = None,
        stop_at_step: int | None = None,
        wait_for_model: bool | None = None,
        previews: Previews | int | None = None,
        max_image_bytes: int | None = None,
        resume: bool = True,
        timeout: float | None = None,
    ) -> Stream:
        """Draws pictures, or with `image` redraws one, and gives the events as they happen. Use it in a `with`.

        A lost link, or a server that is started anew, does not end them: each event that lasts comes once, in order.
        `max_image_bytes` is for a proxy that lets no large messages through.
        """
        ask = asked(options_of(locals()), resume)
        request = stream_request(prompt, image, mask, strength, previews, ask.options, max_image_bytes)
        return self._line.follow(request, timeout, ask)

    def models(self, *, timeout: float | None = None) -> list[Model]:
        """The models that the server draws with; the first is the default."""
        return models_from(self._line.call(self._line.images.ListModels, pb.ListModelsRequest(), timeout, QUICK))

    def load_model(self, name: str, folder: str | None = None, *, timeout: float | None = None) -> Model:
        """Loads a model of the server, and waits until it draws. It takes the right `admin`, where there are tokens.

        `folder`: of a model that is new to the server, below its --models-root.
        """
        request = models.LoadModelRequest(name=name, folder=folder or "")
        return model_from(self._line.call(self._line.models.LoadModel, request, timeout).model)

    def unload_model(self, name: str, *, forget: bool = False, timeout: float | None = None) -> None:
        """Gives a model's memory back, once its jobs are over. The next request loads it again, unless `forget`."""
        request = models.UnloadModelRequest(name=name, forget=forget)
        self._line.call(self._line.models.UnloadModel, request, timeout)

    def health(self, model: str | None = None, *, timeout: float | None = None) -> Health:
        """The health of one model, or of the whole server; SERVING is true in a condition, everything else false.

        Raises NotFound for a name whose health the server does not know, and Unavailable when there is no server.
        """
        return health_from(self._line.call(self._check, Check(value=model or ""), timeout, QUICK, most=1))

    def wait_until_ready(self, timeout: float, model: str | None = None) -> None:
        """Waits for a server that serves, or for one model; looks at its health every half second.

        Raises TimedOut after `timeout` seconds of a server that is not ready, and Unavailable if there was none.
        """
        waiting = Waiting(self.address, timeout)
        while not waiting.is_over:
            try:
                waiting.saw(self.health(model, timeout=waiting.left))
            except (Unavailable, TimedOut, NotFound) as error:
                waiting.failed(error)
            if not waiting.is_over:
                self._line.closed.wait(waiting.pause)
        waiting.conclude()

    def close(self) -> None:
        """Stops the calls that still run, and closes the connection."""
        self._line.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @staticmethod
    def _follow(stream: Stream, progress: bool | OnEvent) -> Result:
        with stream, event_handler(progress) as on_event:
            for event in stream:
                on_event(event)
            return stream.final()
