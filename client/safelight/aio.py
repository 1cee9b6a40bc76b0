"""The client for asyncio; `client` has the same for ordinary code."""

# ruff: noqa: ASYNC109 - a timeout here is the call's deadline, which goes to the server

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cached_property
from types import TracebackType

import grpc.aio

from .acceleration import Acceleration
from .addresses import target
from .aio_job_calls import AsyncJobCalls
from .aio_line import AsyncLine
from .aio_stream import AsyncStream
from .arguments import documented, options_of
from .channel import OPTIONS, QUICK, CallMetadata, Pairs, options_for, timeout_of
from .errors import NotFound, TimedOut, Unavailable
from .health import METHOD, Check, Checked, Health, health_from
from .image_input import ImageInput
from .models import Model, model_from, models_from
from .options import OnDisconnect, Output, Previews, Priority, PromptSyntax, Refiner, SchedulerOptions, SizeConditioning
from .pictures import Format
from .progress import OnEvent, event_handler, previews_of
from .requests import generate_request, refine_request, stream_request
from .results import Result
from .security import Cert, File, security_of
from .terms import asked
from .v1 import images_pb2 as pb
from .v1 import models_pb2 as models
from .waiting import Waiting


class AsyncClient(AsyncJobCalls):
    """A connection to a Safelight server, for one event loop; closed by `async with` or `await close()`.

    Arguments, options and errors are those of `safelight.Client`. Cancelling a task that waits for a call stops the
    work on the server.
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
        self._options = options_for(self.address, OPTIONS, channel_options)
        self._metadata = CallMetadata(self._options, security.authorization, metadata)
        self._credentials = security.credentials

    @documented
    async def generate(
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
        """Draws pictures from words; see `Client.generate`. A function as `progress` is called, not awaited."""
        options = options_of(locals())
        if progress:
            stream = self.stream(prompt, previews=previews_of(progress), resume=resume, timeout=timeout, **options)
            return await self._follow(stream, progress)
        ask = asked(options, resume)
        return await self._line.draw(generate_request(prompt, ask.options), timeout, ask)

    @documented
    async def refine(
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
        """Redraws a picture; see `Client.refine`."""
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
            return await self._follow(stream, progress)
        ask = asked(options, resume)
        return await self._line.draw(refine_request(image, prompt, mask, strength, ask.options), timeout, ask)

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
    ) -> AsyncStream:
        """Draws pictures, or with `image` redraws one; to be used in an `async with`. See `Client.stream`."""
        ask = asked(options_of(locals()), resume)
        request = stream_request(prompt, image, mask, strength, previews, ask.options, max_image_bytes)
        return self._line.follow(request, timeout, ask)

    async def models(self, *, timeout: float | None = None) -> list[Model]:
        """The models that the server draws with; the first is the default."""
        return models_from(await self._line.call(self._line.images.ListModels, pb.ListModelsRequest(), timeout, QUICK))

    async def load_model(self, name: str, folder: str | None = None, *, timeout: float | None = None) -> Model:
        """Loads a model of the server, and waits until it draws; see `Client.load_model`."""
        request = models.LoadModelRequest(name=name, folder=folder or "")
        return model_from((await self._line.call(self._line.models.LoadModel, request, timeout)).model)

    async def unload_model(self, name: str, *, forget: bool = False, timeout: float | None = None) -> None:
        """Gives a model's memory back; see `Client.unload_model`."""
        request = models.UnloadModelRequest(name=name, forget=forget)
        await self._line.call(self._line.models.UnloadModel, request, timeout)

    async def health(self, model: str | None = None, *, timeout: float | None = None) -> Health:
        """The health of one model, or of the whole server; see `Client.health`."""
        return health_from(await self._line.call(self._check, Check(value=model or ""), timeout, QUICK, most=1))

    async def wait_until_ready(self, timeout: float, model: str | None = None) -> None:
        """Waits for a server that serves, or for one model; looks at its health every half second.

        Raises TimedOut after `timeout` seconds of a server that is not ready, and Unavailable if there was none.
        """
        waiting = Waiting(self.address, timeout)
        while not waiting.is_over:
            try:
                waiting.saw(await self.health(model, timeout=waiting.left))
            except (Unavailable, TimedOut, NotFound) as error:
                waiting.failed(error)
            if not waiting.is_over:
                await asyncio.sleep(waiting.pause)
        waiting.conclude()

    async def close(self) -> None:
        """Stops the calls that still run, and closes the connection."""
        await self._line.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    # The channel belongs to the loop that runs when it is made, and a client may be made before there is one.
    @cached_property
    def _channel(self) -> grpc.aio.Channel:
        if self._credentials is None:
            return grpc.aio.insecure_channel(self.address, self._options)
        return grpc.aio.secure_channel(self.address, self._credentials, self._options)

    @cached_property
    def _line(self) -> AsyncLine:
        return AsyncLine(self.address, self.timeout, self._channel, self._metadata)

    @cached_property
    def _check(self) -> grpc.aio.UnaryUnaryMultiCallable[Check, Checked]:
        return self._channel.unary_unary(METHOD, Check.SerializeToString, Checked.FromString)

    @staticmethod
    async def _follow(stream: AsyncStream, progress: bool | OnEvent) -> Result:
        async with stream:
            with event_handler(progress) as on_event:
                async for event in stream:
                    on_event(event)
            return await stream.final()
