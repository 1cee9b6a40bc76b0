"""A gRPC server whose calls are answered by a test's functions: for faults, and for exact sequences of events."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NoReturn

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health, health_pb2_grpc
from PIL import Image, PngImagePlugin
from safelight.v1 import images_pb2 as pb
from safelight.v1.images_pb2_grpc import ImageServiceServicer, add_ImageServiceServicer_to_server
from safelight.v1.jobs_pb2_grpc import add_JobServiceServicer_to_server

from support.fake_jobs import FakeJobs

Handler = Callable[[Any, grpc.ServicerContext], Any]

FOREVER = 10.0  # seconds: what takes longer here hangs


class FakeServer(ImageServiceServicer):
    """Its calls are answered by functions of (request, context); it keeps all requests.

    `requests` are without the terms that a client adds by itself, `sent` as they came.
    """

    def __init__(self, **handlers: Handler) -> None:
        self._handlers = handlers
        self.requests: list[Any] = []
        self.sent: list[Any] = []
        self.jobs = FakeJobs(handlers)
        self.called = threading.Event()
        self.gone = threading.Event()  # a call has ended: it was answered, or the client has cancelled it
        self.health = health.HealthServicer()
        self.address = ""

    def Generate(self, request: pb.GenerateRequest, context: grpc.ServicerContext) -> Any:
        return self._answer("generate", request, context, generated)

    def Refine(self, request: pb.RefineRequest, context: grpc.ServicerContext) -> Any:
        return self._answer("refine", request, context, refined)

    def Stream(self, request: pb.StreamRequest, context: grpc.ServicerContext) -> Any:
        return self._answer("stream", request, context, streamed)

    def ListModels(self, request: pb.ListModelsRequest, context: grpc.ServicerContext) -> Any:
        return self._answer("models", request, context, lambda *_: pb.ListModelsResponse(models=[MODEL]))

    def _answer(self, name: str, request: Any, context: grpc.ServicerContext, default: Handler) -> Any:
        self.requests.append(_without_usual_terms(request))
        self.sent.append(request)
        self.called.set()
        context.add_callback(self.gone.set)
        return self._handlers.get(name, default)(request, context)


def _without_usual_terms(request: Any) -> Any:
    asked = type(request).FromString(request.SerializeToString())
    method = asked.WhichOneof("request") if isinstance(asked, pb.StreamRequest) else None
    drawn = getattr(asked, method) if method else asked
    if re.fullmatch(r"[0-9a-f-]{36}", getattr(drawn, "request_id", "")):
        for name in ("request_id", "on_disconnect", "grace", "retain"):
            drawn.ClearField(name)
    return asked


@contextmanager
def serve(**handlers: Handler) -> Iterator[FakeServer]:
    """A server on a free port; the handlers are called generate, refine, stream, models, and as FakeJobs says."""
    with serve_at("127.0.0.1:0", **handlers) as fake:
        yield fake


@contextmanager
def serve_at(address: str, **handlers: Handler) -> Iterator[FakeServer]:
    """As `serve`, on this address."""
    fake = FakeServer(**handlers)
    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    add_ImageServiceServicer_to_server(fake, server)
    add_JobServiceServicer_to_server(fake.jobs, server)
    health_pb2_grpc.add_HealthServicer_to_server(fake.health, server)
    fake.address = f"127.0.0.1:{server.add_insecure_port(address)}"
    server.start()
    try:
        yield fake
    finally:
        server.stop(0).wait()


def refuse(
    context: grpc.ServicerContext, code: grpc.StatusCode, message: str, *details: Message, raw: bytes | None = None
) -> NoReturn:
    """Ends the call with a rich status, or with `raw` in its place."""
    status = Status(code=code.value[0], message=message)
    for detail in details:
        status.details.add().Pack(detail)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString() if raw is None else raw),))
    context.abort(code, message)


def failing(times: int, then: Handler, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> Handler:
    """Refuses the first calls, then answers."""
    left = [times]

    def handler(request: Any, context: grpc.ServicerContext) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            refuse(context, code, "not now")
        return then(request, context)

    return handler


def sleeping(request: Any, context: grpc.ServicerContext) -> Any:
    """Answers nothing until the client is gone."""
    ended = threading.Event()
    context.add_callback(ended.set)
    ended.wait(20)
    return pb.GenerateResponse()


def endless(request: pb.StreamRequest, context: grpc.ServicerContext) -> Iterator[pb.StreamResponse]:
    """Queued, then nothing until the client is gone."""
    yield pb.StreamResponse(job_id="job", sequence=1, queued=pb.Queued(position=2))
    sleeping(request, context)


def picture(colour: str = "red", format: str = "PNG", edge: int = 16) -> bytes:
    """A file in one colour; a PNG with the text chunk "parameters"."""
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", "a red apple")
    file = io.BytesIO()
    Image.new("RGB", (edge, edge), colour).save(file, format, **({"pnginfo": text} if format == "PNG" else {}))
    return file.getvalue()


def image(index: int = 0, colour: str = "red", format: str = "PNG", seed: int = 7) -> pb.Image:
    name = f"IMAGE_FORMAT_{format}"
    return pb.Image(index=index, seed=seed + index, format=name, data=picture(colour, format), width=16, height=16)


def answer(*images: pb.Image, response: type[Any] = pb.GenerateResponse) -> Any:
    return response(job_id="job", images=images, timings=TIMINGS, warnings=["the prompt was cut"])


def generated(request: pb.GenerateRequest, context: grpc.ServicerContext) -> Any:
    return answer(*(image(index) for index in range(request.num_images or 1)))


def refined(request: pb.RefineRequest, context: grpc.ServicerContext) -> Any:
    return answer(image(), response=pb.RefineResponse)


def streamed(request: pb.StreamRequest, context: grpc.ServicerContext) -> Iterator[pb.StreamResponse]:
    """Every kind of event, for as many pictures as were asked for, of two steps each."""
    drawn = getattr(request, request.WhichOneof("request") or "")
    count = drawn.num_images or 1
    every = request.preview.every_steps if request.preview.HasField("every_steps") else 1
    for sequence, event in enumerate(_events(count, every), 1):
        yield pb.StreamResponse(job_id="job", sequence=sequence, **event)


def _events(count: int, every: int) -> Iterator[dict[str, Any]]:
    yield {"queued": pb.Queued(position=1)}
    seeds = range(7, 7 + count)
    yield {
        "started": pb.Started(
            model="vega",
            width=16,
            height=16,
            steps=2,
            guidance_scale=7.3,
            scheduler="euler",
            seeds=seeds,
            warnings=["the prompt was cut"],
        )
    }
    for index in range(count):
        for step in (1, 2):
            place = {"image_index": index, "step": step, "steps": 2}
            yield {"progress": pb.Progress(**place, model="vega", step_time=Duration(nanos=250_000_000))}
            if every and step % every == 0:
                yield {"preview": pb.Preview(**place, data=picture("blue", "JPEG"), width=16, height=16, skipped=3)}
        yield {"image": image(index)}
    yield {"done": pb.Done(timings=TIMINGS)}


TIMINGS = pb.Timings(
    queued=Duration(nanos=500_000_000), encode=Duration(), denoise=Duration(seconds=2), total=Duration(seconds=3)
)
MODEL = pb.Model(
    name="vega",
    kind=pb.MODEL_KIND_BASE,
    limits=pb.Limits(min_edge=64, max_edge=1024, edge_multiple=8, max_steps=100, max_images=4, max_prompt_tokens=77),
    defaults=pb.Defaults(width=1024, height=1024, steps=25, guidance_scale=7.3, scheduler="euler"),
    schedulers=["ddim", "euler"],
    precision="bf16",
    device="CPU",
    has_tiny_decoder=True,
    refiners=["refiner"],
    has_deep_cache=True,
)
