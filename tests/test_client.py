"""The client, in both its forms and from the command line, over TCP against a scripted server."""

from __future__ import annotations

import asyncio
import gc
import importlib
import inspect
import io
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, cast

import fake_server as fake
import grpc
import numpy as np
import pytest
import safelight
from fake_server import failing, refuse, serve
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from PIL import Image
from safelight import AsyncClient, AsyncStream, Client
from safelight import client as sync_client
from safelight.__main__ import EXIT_CODES, main
from safelight.channel import OPTIONS, target
from safelight.errors import KINDS
from safelight.v1 import images_pb2 as pb

Connect = Callable[..., Client]
FOREVER = 10.0  # seconds: what takes longer here hangs


class Blocking:
    """AsyncClient and AsyncStream in the manner of Client and Stream, so that one test drives both."""

    def __init__(self, inner: Any, runner: asyncio.Runner) -> None:
        self._inner, self._runner = inner, runner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return (lambda *given, **named: self._run(found, *given, **named)) if callable(found) else found

    def _run(self, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
        async def call() -> Any:
            value = function(*given, **named)
            return await value if inspect.isawaitable(value) else value

        value = self._runner.run(call())
        return Blocking(value, self._runner) if isinstance(value, AsyncStream) else value

    def __iter__(self) -> Blocking:
        return self

    def __next__(self) -> Any:
        try:
            return self._run(self._inner.__anext__)
        except StopAsyncIteration:
            raise StopIteration from None

    def __enter__(self) -> Blocking:
        self._run(self._inner.__aenter__)
        return self

    def __exit__(self, *error: Any) -> None:
        self._run(self._inner.__aexit__, *error)


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Connects a client of one of both forms; it is closed at the end."""
    with ExitStack() as stack:
        if request.param == "sync":
            yield lambda *given, **named: stack.enter_context(Client(*given, **named))
            return
        runner = stack.enter_context(asyncio.Runner())

        def connect(*given: Any, **named: Any) -> Client:
            return cast(Client, stack.enter_context(Blocking(AsyncClient(*given, **named), runner)))

        yield connect


# Requests


def test_generate_sends_what_is_given_and_nothing_else(connect: Connect) -> None:
    with serve() as server:
        client = connect(server.address)
        client.generate("a red apple", model=None, negative_prompt="", steps=0, seed=np.int64(5))  # type: ignore[arg-type]
        assert server.requests == [pb.GenerateRequest(prompt="a red apple", negative_prompt="", steps=0, seed=5)]
        assert server.requests[0].HasField("negative_prompt")
        assert not server.requests[0].HasField("width")


def test_every_field_of_the_contract_can_be_sent(connect: Connect) -> None:
    size = safelight.SizeConditioning(original=(512, 768), crop=(1, 2), negative_target=(3, 4), aesthetic_score=6)
    with serve() as server:
        connect(server.address).generate(
            "p", model="vega", prompt_2="p2", negative_prompt="n", negative_prompt_2="n2", width=512, height=768,
            steps=4, guidance_scale=7.5, guidance_rescale=0.5, seed=1, num_images=2, scheduler="euler",
            scheduler_options=safelight.SchedulerOptions(use_karras_sigmas=True, eta=0), size_conditioning=size,
            refiner=safelight.Refiner("refiner", 0.75), output=safelight.Output("jpeg", 80),
        )  # fmt: skip
        request = server.requests[0]
    assert request == pb.GenerateRequest(
        prompt="p", model="vega", prompt_2="p2", negative_prompt="n", negative_prompt_2="n2", width=512, height=768,
        steps=4, guidance_scale=7.5, guidance_rescale=0.5, seed=1, num_images=2, scheduler="euler",
        scheduler_options=pb.SchedulerOptions(use_karras_sigmas=True, eta=0),
        size_conditioning=pb.SizeConditioning(
            original=pb.Size(width=512, height=768), crop=pb.Point(x=1, y=2), aesthetic_score=6,
            negative_target=pb.Size(width=3, height=4)),
        refiner=pb.RefinerStage(model="refiner", handoff=0.75),
        output=pb.OutputOptions(format=pb.IMAGE_FORMAT_JPEG, quality=80),
    )  # fmt: skip
    assert {field.name for field, _ in request.ListFields()} == set(pb.GenerateRequest.DESCRIPTOR.fields_by_name)


def test_short_forms_of_refiner_and_output(connect: Connect) -> None:
    with serve() as server:
        connect(server.address).generate("p", refiner="refiner", output="webp")
        assert server.requests[0].refiner == pb.RefinerStage(model="refiner")
        assert server.requests[0].output == pb.OutputOptions(format=pb.IMAGE_FORMAT_WEBP)


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"stepz": 3}, TypeError, "unexpected keyword argument 'stepz'"),
        ({"width": -8}, ValueError, "width=-8"),
        ({"width": "wide"}, TypeError, "width='wide'"),
        ({"output": "gif"}, ValueError, "output='gif': the format must be one of png, jpeg, webp"),
        ({"size_conditioning": safelight.SizeConditioning(crop=(1, 2, 3))}, ValueError, "size_conditioning="),  # type: ignore[arg-type]
        ({"scheduler_options": 3}, TypeError, "scheduler_options=3"),
    ],
)
def test_an_argument_that_fits_no_request_is_named(
    connect: Connect, options: dict[str, Any], kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=text):
        connect("localhost:1").generate("p", **options)


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: Image.new("RGB", (4, 4), "red"),
        lambda folder: Image.new("RGB", (4, 4), "red").convert("CMYK"),
        lambda folder: np.full((4, 4, 3), (255, 0, 0), np.uint8),
        lambda folder: memoryview(_bmp()),
        lambda folder: _written(folder / "image.bmp", _bmp()),
        lambda folder: str(_written(folder / "image.png", fake.picture())),
    ],
)
def test_refine_takes_many_kinds_of_image(connect: Connect, tmp_path: Path, make: Callable[[Path], Any]) -> None:
    mask = np.array([[True, False], [False, True]])
    with serve() as server:
        result = connect(server.address).refine(make(tmp_path), "an apple", mask=mask, strength=0.5)
        request = server.requests[0]
    assert result.job_id == "job"
    assert request.strength == 0.5
    assert Image.open(io.BytesIO(request.image)).format == "PNG"
    assert Image.open(io.BytesIO(request.image)).convert("RGB").getpixel((0, 0)) == (255, 0, 0)
    sent = np.asarray(Image.open(io.BytesIO(request.mask)).convert("L"))
    assert np.array_equal(sent, mask * np.uint8(255))


def test_a_file_the_server_reads_is_sent_as_it_is(connect: Connect) -> None:
    with serve() as server:
        connect(server.address).refine(fake.picture("red", "JPEG"), "p")
        assert server.requests[0] == pb.RefineRequest(prompt="p", image=fake.picture("red", "JPEG"))


@pytest.mark.parametrize(
    ("image", "kind", "text"),
    [
        (np.zeros((4, 4, 3)), TypeError, "uint8"),
        (3, TypeError, "not int"),
        ("/nowhere.png", FileNotFoundError, "nowhere"),
        (b"no picture", OSError, "cannot identify"),
    ],
)
def test_what_is_no_image_is_refused(connect: Connect, image: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        connect("localhost:1").refine(image, "p")


@pytest.mark.parametrize(
    ("previews", "sent"),
    [
        (None, pb.StreamRequest()),
        (0, pb.StreamRequest(preview=pb.PreviewOptions(every_steps=0))),
        (3, pb.StreamRequest(preview=pb.PreviewOptions(every_steps=3))),
        (safelight.Previews(), pb.StreamRequest(preview=pb.PreviewOptions())),
        (
            safelight.Previews(every=2, min_interval=0.25, max_edge=128, quality=70, decoder="tiny"),
            pb.StreamRequest(
                preview=pb.PreviewOptions(
                    every_steps=2, min_interval=Duration(nanos=250_000_000), max_edge=128, quality=70,
                    decoder=pb.PREVIEW_DECODER_TINY)),
        ),
    ],
)  # fmt: skip
def test_previews(connect: Connect, previews: Any, sent: pb.StreamRequest) -> None:
    sent.generate.prompt = "p"
    with serve() as server, connect(server.address).stream("p", previews=previews) as stream:
        stream.final()
        assert server.requests == [sent]


def test_a_stream_with_an_image_is_a_refine(connect: Connect) -> None:
    with serve() as server:
        with connect(server.address).stream("p", image=fake.picture(), strength=0.2, seed=3) as stream:
            stream.final()
        refine = pb.RefineRequest(prompt="p", image=fake.picture(), strength=0.2, seed=3)
        assert server.requests == [pb.StreamRequest(refine=refine)]
    with pytest.raises(TypeError, match="no image"):
        connect("localhost:1").stream("p", strength=0.2)


# Results and events


def test_result(connect: Connect) -> None:
    with serve() as server:
        result = connect(server.address).generate("p", num_images=2)
    assert (result.job_id, result.seeds, result.formats) == ("job", [7, 8], ["png", "png"])
    assert result.warnings == ("the prompt was cut",)
    assert result.files == [fake.picture(), fake.picture()]
    assert [image.size for image in result.images] == [(16, 16), (16, 16)]
    assert result.image is result.images[0]  # decoded once
    assert result.timings == safelight.Timings(queued=0.5, encode=0, denoise=2, decode=0, save=0, total=3)
    assert pickle.loads(pickle.dumps(result)) == result
    assert "\\x" not in repr(result)


def test_save(connect: Connect, tmp_path: Path) -> None:
    with serve() as server:
        client = connect(server.address)
        one, two = client.generate("p"), client.generate("p", num_images=2)
    path = tmp_path / "apple.png"
    assert one.save(path) == [path]
    assert cast(Any, _opened(path)).text["parameters"] == "a red apple"
    assert one.save(tmp_path / "apple") == [tmp_path / "apple"]
    assert (tmp_path / "apple").read_bytes() == one.files[0]
    one.save(tmp_path / "apple.JPG")
    assert _opened(tmp_path / "apple.JPG").format == "JPEG"
    assert two.save(str(path)) == [tmp_path / "apple-0.png", tmp_path / "apple-1.png"]
    assert two.save(tmp_path) == [tmp_path / "safelight-7.png", tmp_path / "safelight-8.png"]
    with pytest.raises(ValueError, match=r"'\.apple'"):
        one.save(tmp_path / "red.apple")
    assert not list(tmp_path.glob(".*"))


def test_an_unknown_format_is_kept(connect: Connect) -> None:
    def handler(request: Any, context: Any) -> Any:
        new = fake.image()
        new.format = 99  # type: ignore[assignment]
        return fake.answer(new)

    with serve(generate=handler) as server:
        result = connect(server.address).generate("p")
    assert result.formats == ["unknown"]
    assert result.image.size == (16, 16)


def test_events(connect: Connect) -> None:
    with serve() as server, connect(server.address).stream("p", previews=2) as stream:
        assert stream.job_id == ""
        events = list(stream)
        kinds = ["Queued", "Started", "Progress", "Progress", "Preview", "ImageDone", "Done"]
        assert [type(event).__name__ for event in events] == kinds
        assert [event.sequence for event in events] == [1, 2, 3, 4, 5, 6, 7]
        queued, started, first, _, preview, finished, done = cast(Any, events)
        assert stream.job_id == queued.job_id == "job"
        assert queued.position == 1
        assert (started.model, started.steps, started.seeds, started.guidance_scale) == ("vega", 2, (7,), 7.3)
        assert (first.image_index, first.step, first.steps, first.step_time) == (0, 1, 2, 0.25)
        assert (preview.image.size, preview.image.format, preview.skipped) == ((16, 16), "JPEG", 3)
        assert (finished.seed, finished.index, finished.format, finished.image.size) == (7, 0, "png", (16, 16))
        assert done.timings.total == 3
        result = stream.final()
        assert (result.seeds, result.warnings) == ([7], ("the prompt was cut",))
        with pytest.raises(AttributeError):
            done.sequence = 3


def test_the_result_of_a_stream_is_that_of_the_call(connect: Connect) -> None:
    with serve() as server, connect(server.address).stream("p", num_images=2) as stream:
        assert isinstance(next(stream), safelight.Queued)
        result = stream.final()
        assert (result.seeds, result.files) == ([7, 8], [fake.picture()] * 2)
        assert stream.final() == result


def test_events_that_wait_are_all_read_after_the_server_has_ended(connect: Connect) -> None:
    with serve() as server, connect(server.address).stream("p", num_images=4) as stream:
        assert server.gone.wait(FOREVER)
        time.sleep(0.2)
        assert len(list(stream)) == 2 + 4 * 5 + 1


def test_an_event_of_the_future_is_skipped(connect: Connect) -> None:
    def handler(request: Any, context: Any) -> Iterator[pb.StreamResponse]:
        # Field 99 of a StreamResponse, two bytes long.
        yield pb.StreamResponse.FromString(b"\x0a\x03job\x10\x01" + b"\x9a\x06\x02\x08\x01")
        yield pb.StreamResponse(job_id="job", done=pb.Done())

    with serve(stream=handler) as server, connect(server.address).stream("p") as stream:
        assert [type(event) for event in stream] == [safelight.Done]


def test_a_stream_that_ends_too_early_has_no_result(connect: Connect) -> None:
    with serve(stream=lambda *_: iter([pb.StreamResponse(queued=pb.Queued())])) as server:
        stream = connect(server.address).stream("p")
        with pytest.raises(safelight.Internal, match="before"):
            stream.final()


def test_progress_calls_a_function_or_shows_a_bar(connect: Connect, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[safelight.Event] = []
    with serve() as server:
        client = connect(server.address)
        assert client.generate("p", num_images=2, progress=seen.append).seeds == [7, 8]
        assert not [event for event in seen if isinstance(event, safelight.Preview)]
        assert client.refine(fake.picture(), "p", progress=True).seeds == [7]
        assert server.requests[1].refine.prompt == "p"
    shown = capsys.readouterr()
    assert "vega: 100%" in shown.err
    assert "2/2" in shown.err
    assert not shown.out


def test_without_tqdm_the_remedy_is_told(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with serve() as server, pytest.raises(ImportError, match=r'pip install "safelight\[progress\]"'):
        connect(server.address).generate("p", progress=True)


# What else the server tells


def test_models(connect: Connect) -> None:
    with serve() as server:
        (model,) = connect(server.address).models()
    assert (model.name, model.kind, model.precision, model.device) == ("vega", "base", "bf16", "CPU")
    assert model.limits == safelight.Limits(64, 1024, 8, 100, 4, 77)
    assert model.defaults == safelight.Defaults(1024, 1024, 25, 7.3, "euler")
    assert (model.schedulers, model.refiners, model.has_tiny_decoder) == (("ddim", "euler"), ("refiner",), True)


def test_health(connect: Connect) -> None:
    with serve() as server:
        client = connect(server.address)
        assert client.health()
        server.health.set("", 2)
        server.health.set("vega", 1)
        assert client.health() is safelight.Health.NOT_SERVING
        assert not client.health()
        assert client.health("vega") is safelight.Health.SERVING
        server.health.set("vega", 77)
        assert client.health("vega") is safelight.Health.UNKNOWN
        with pytest.raises(safelight.NotFound):
            client.health("no such model")


# Errors


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
@pytest.mark.parametrize("call", ["generate", "stream"])
def test_every_status_has_its_exception(connect: Connect, code: grpc.StatusCode, call: str) -> None:
    handler: Any = lambda _, context: refuse(context, code, "no", ErrorInfo(reason="BECAUSE", metadata={"a": "b"}))  # noqa: E731
    with serve(generate=handler, stream=handler) as server:
        client = connect(server.address)
        with pytest.raises(KINDS[code]) as caught:
            client.generate("p") if call == "generate" else client.stream("p").final()
    error = caught.value
    assert type(error) is KINDS[code]
    assert (error.code, error.reason, error.message, str(error)) == (code.name, "BECAUSE", "no", "no")
    assert (error.metadata, error.violations, error.retry_after) == ({"a": "b"}, [], None)
    assert isinstance(error.__cause__, grpc.RpcError)


def test_every_bad_field_is_told(connect: Connect) -> None:
    bad = BadRequest(
        field_violations=[
            BadRequest.FieldViolation(field="width", description="must be a multiple of 8, not 13"),
            BadRequest.FieldViolation(field="steps", description="must be at least 1, not 0"),
        ]
    )
    delay = RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000))
    code = grpc.StatusCode.INVALID_ARGUMENT
    with serve(generate=lambda _, context: refuse(context, code, "2 bad fields", bad, delay)) as server:
        client = connect(server.address)
        with pytest.raises(safelight.InvalidRequest) as caught:
            client.generate("p")
    error = caught.value
    assert str(error).splitlines() == [
        "2 bad fields:",
        "  width: must be a multiple of 8, not 13",
        "  steps: must be at least 1, not 0",
    ]
    assert error.violations[1] == safelight.FieldViolation("steps", "must be at least 1, not 0")
    assert error.retry_after == 1.5
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.code, again.retry_after) == (str(error), error.code, 1.5)


def test_a_message_that_repeats_the_fields_is_not_told_twice() -> None:
    wrong = [safelight.FieldViolation("steps", "must be at least 1, not 0")]
    error = safelight.InvalidRequest("steps: must be at least 1, not 0", violations=wrong)
    assert str(error) == "the request was refused:\n  steps: must be at least 1, not 0"


# A status that is none; and one with two broken details and a good one.
BROKEN = Status(
    details=[
        Packed(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff\xff"),
        Packed(type_url="type.googleapis.com/no.such.Type", value=b"\xff"),
        Packed(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=ErrorInfo(reason="X").SerializeToString()),
    ]
).SerializeToString()


@pytest.mark.parametrize(("raw", "reason"), [(b"\xff\xffgarbage", ""), (BROKEN, "X"), (b"", "")])
def test_bad_details_do_not_hide_the_error(connect: Connect, raw: bytes, reason: str) -> None:
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    with serve(generate=lambda _, context: refuse(context, code, "full", raw=raw)) as server:
        client = connect(server.address)
        with pytest.raises(safelight.Busy, match="full") as caught:
            client.generate("p")
    assert caught.value.reason == reason


def test_no_server(connect: Connect) -> None:
    with pytest.raises(safelight.Unavailable, match="connect") as caught:
        connect("127.0.0.1:1").health()
    assert caught.value.reason == ""


# Retries, deadlines, limits


@pytest.mark.parametrize("call", ["generate", "refine", "models"])
def test_unavailable_is_tried_again(connect: Connect, call: str) -> None:
    large = fake.picture() + bytes(2**20)  # more than gRPC keeps for another attempt by itself
    usual: dict[str, fake.Handler] = {
        "generate": fake.generated,
        "refine": fake.refined,
        "models": lambda *_: pb.ListModelsResponse(),
    }
    with serve(**{call: failing(2, usual[call])}) as server:
        client = connect(server.address)
        arguments: dict[str, list[Any]] = {"generate": ["p"], "refine": [large, "p"], "models": []}
        getattr(client, call)(*arguments[call])
        assert len(server.requests) == 3


def test_a_stream_is_not_tried_again(connect: Connect) -> None:
    with serve(stream=failing(1, fake.streamed)) as server:
        with pytest.raises(safelight.Unavailable):
            connect(server.address).stream("p").final()
        assert len(server.requests) == 1


def test_what_is_not_unavailable_is_not_tried_again(connect: Connect) -> None:
    with serve(generate=failing(1, fake.generated, grpc.StatusCode.RESOURCE_EXHAUSTED)) as server:
        with pytest.raises(safelight.Busy):
            connect(server.address).generate("p")
        assert len(server.requests) == 1


@pytest.mark.parametrize("given", ["client", "call", "environment"])
def test_timeout(connect: Connect, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    if given == "environment":
        monkeypatch.setenv("SAFELIGHT_TIMEOUT", "0.3")
    named: Any = {"timeout": 0.3} if given == "call" else {}
    with serve(generate=fake.sleeping, stream=fake.endless) as server:
        client = connect(server.address, timeout={"client": 0.3, "call": 60}.get(given))
        with pytest.raises(safelight.TimedOut):
            client.generate("p", **named)
        assert server.gone.wait(FOREVER)
        with client.stream("p", **named) as stream:
            assert isinstance(next(stream), safelight.Queued)
            with pytest.raises(safelight.TimedOut):
                next(stream)


@pytest.mark.parametrize("told", ["soon", "-1", "0"])
def test_a_timeout_that_makes_no_sense(connect: Connect, monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    monkeypatch.setenv("SAFELIGHT_TIMEOUT", told)
    with pytest.raises(ValueError, match="SAFELIGHT_TIMEOUT"):
        connect()
    with pytest.raises(ValueError, match="timeout=-1"):
        connect(timeout=-1)


def test_large_pictures_arrive(connect: Connect) -> None:
    large = pb.Image(data=bytes(6 * 2**20))  # gRPC's own limit is 4 MiB
    with serve(generate=lambda *_: fake.answer(large)) as server:
        assert connect(server.address).generate("p").files == [large.data]


def test_a_network_that_dies_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = ("grpc.keepalive_time_ms", "grpc.keepalive_timeout_ms", "grpc.http2.ping_timeout_ms")
    faster = dict.fromkeys(waits, 300)
    monkeypatch.setattr(sync_client, "OPTIONS", [(name, faster.get(name, value)) for name, value in OPTIONS])
    with serve(stream=fake.endless) as server, Dying(server.address) as relay, Client(relay.address) as client:
        stream = client.stream("p", timeout=FOREVER)
        next(stream)
        time.sleep(2.5)  # by now the pings that gRPC sends without being told so are used up
        relay.dead.set()
        with pytest.raises(safelight.Unavailable):
            next(stream)


class Dying:
    """Relays TCP to an address until `dead` is set; then bytes are lost, and the connections stay open."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.dead = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open = [self._listening]
        self._far = (host, int(port))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Dying:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        for connection in self._open:
            connection.close()

    def _accept(self) -> None:
        with closing(self._listening):
            near, far = self._listening.accept()[0], socket.create_connection(self._far)
            self._open += [near, far]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._relay, args=pair, daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if not self.dead.is_set():
                    sink.sendall(data)
        except OSError:
            return


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("host", "host:50051"),
        ("host:80", "host:80"),
        (":80", "localhost:80"),
        ("http://host:80/", "host:80"),
        ("127.0.0.1", "127.0.0.1:50051"),
        ("::1", "[::1]:50051"),
        ("[::1]:80", "[::1]:80"),
        ("unix:/run/safelight", "unix:/run/safelight"),
        ("dns:///host:80", "dns:///host:80"),
        (None, "elsewhere:50051"),
    ],
)
def test_addresses(monkeypatch: pytest.MonkeyPatch, address: str | None, expected: str) -> None:
    monkeypatch.setenv("SAFELIGHT_ADDRESS", "elsewhere")
    assert target(address) == expected
    monkeypatch.delenv("SAFELIGHT_ADDRESS")
    assert target(None) == "localhost:50051"
    with pytest.raises(ValueError, match="plain text"):
        target("https://host")


# Cancelling


def test_leaving_a_stream_cancels_it(connect: Connect) -> None:
    with serve(stream=fake.endless) as server:
        with connect(server.address).stream("p") as stream:
            next(stream)
            assert not server.gone.is_set()
        assert server.gone.wait(FOREVER)
        with pytest.raises(safelight.Cancelled):
            stream.final()


def test_cancel(connect: Connect) -> None:
    with serve(stream=fake.endless) as server, connect(server.address).stream("p") as stream:
        next(stream)
        stream.cancel()
        assert server.gone.wait(FOREVER)
        with pytest.raises(safelight.Cancelled) as caught:
            next(stream)
        assert caught.value.code == "CANCELLED"


def test_dropping_a_stream_cancels_it() -> None:
    with serve(stream=fake.endless) as server, Client(server.address) as client:
        stream = client.stream("p")
        next(stream)
        del stream
        gc.collect()
        assert server.gone.wait(FOREVER)


@pytest.mark.parametrize("call", ["generate", "stream"])
def test_cancelling_a_task_cancels_its_call(call: str) -> None:
    async def read(client: AsyncClient) -> None:
        await (client.generate("p") if call == "generate" else client.stream("p").final())

    async def run(server: fake.FakeServer) -> None:
        async with AsyncClient(server.address) as client:
            task = asyncio.create_task(read(client))
            assert await asyncio.to_thread(server.called.wait, FOREVER)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(server.gone.wait, FOREVER)

    with serve(generate=fake.sleeping, stream=fake.endless) as server:
        asyncio.run(run(server))


def test_a_stream_cancelled_from_beside_does_not_look_like_a_cancelled_task() -> None:
    async def run(server: fake.FakeServer) -> None:
        async with AsyncClient(server.address) as client, client.stream("p") as stream:
            await anext(stream)
            reading = asyncio.create_task(stream.final())
            await asyncio.sleep(0.1)
            stream.cancel()
            with pytest.raises(safelight.Cancelled):
                await reading

    with serve(stream=fake.endless) as server:
        asyncio.run(run(server))


# The package


def test_importing_is_light_and_does_nothing() -> None:
    code = "import sys, safelight; print(sorted({'numpy', 'tqdm', 'openvino', 'rich'} & sys.modules.keys()))"
    told = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"


def test_both_clients_have_the_same_methods() -> None:
    for name in ("__init__", "generate", "refine", "stream", "models", "health", "close"):
        parameters = [inspect.signature(getattr(kind, name)).parameters for kind in (Client, AsyncClient)]
        assert parameters[0] == parameters[1]
    assert all(hasattr(safelight, name) for name in safelight.__all__)


# The command line


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command in an empty folder; gives (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*argv: str) -> tuple[int, str, str]:
        try:
            code = main(argv)
        except SystemExit as exit:
            code = cast(int, exit.code)
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def test_cli_generate(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve() as server:
        monkeypatch.setenv("SAFELIGHT_ADDRESS", server.address)
        options = (
            "--model=vega --negative=blue --size=512x768 --steps=4 --guidance=2 --seed=7 -n=2 --scheduler=euler"
            " --refiner=refiner@0.75 --quality=80 -o=apple.jpg"
        )
        code, out, err = run("generate", "a red apple", *options.split())
        assert (code, out) == (0, "apple-0.jpg\napple-1.jpg\n")
        assert "seed 7, 8; 3.0 s" in err
        assert "the prompt was cut" in err
        assert server.requests == [
            pb.GenerateRequest(
                prompt="a red apple", model="vega", negative_prompt="blue", width=512, height=768, steps=4,
                guidance_scale=2, seed=7, num_images=2, scheduler="euler",
                refiner=pb.RefinerStage(model="refiner", handoff=0.75),
                output=pb.OutputOptions(format=pb.IMAGE_FORMAT_JPEG, quality=80))
        ]  # fmt: skip
        assert _opened("apple-1.jpg").format == "JPEG"
        assert run("generate", "p", "--quiet") == (0, "safelight-7.png\n", "")
        code, out, err = run("generate", "p", "--json", "-o", "x.png")
        told = json.loads(out)
        assert (told["paths"], told["seeds"], told["timings"]["total"]) == (["x.png"], [7], 3)


def test_cli_generate_with_a_bar(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = importlib.import_module("safelight.commands")
    with serve() as server:
        monkeypatch.setattr(commands, "_on_terminal", lambda: True)
        code, out, err = run("generate", "p", "--address", server.address)
        assert (code, out) == (0, "safelight-7.png\n")
        assert "vega: 100%" in err
        assert server.requests[0].preview.every_steps == 0
        monkeypatch.setitem(sys.modules, "tqdm.auto", None)
        code, out, err = run("generate", "p", "--address", server.address)
        assert (code, out) == (0, "safelight-7.png\n")
        assert "safelight[progress]" in err


def test_cli_refine(run: Any, tmp_path: Path) -> None:
    _written(tmp_path / "sketch.png", fake.picture("blue"))
    with serve() as server:
        command = "refine sketch.png apple --strength 0.5 --mask sketch.png -o new.png --address"
        assert run(*command.split(), server.address)[:2] == (0, "new.png\n")
        request = server.requests[0]
    assert (request.image, request.mask, request.strength) == (fake.picture("blue"), fake.picture("blue"), 0.5)


def test_cli_stream(run: Any) -> None:
    with serve() as server:
        code, out, err = run(
            "stream", "p", "-n", "2", "-o", "a.png", "--preview", "now.jpg", "--address", server.address
        )
        assert (code, out) == (0, "a-0.png\na-1.png\n")
        assert "seed 7, 8" in err
        assert _opened("now.jpg").format == "JPEG"
        command = "stream p --json -q -o a.png --preview now.jpg --preview-every 2 --address"
        code, out, err = run(*command.split(), server.address)
        assert server.requests[1].preview.every_steps == 2
    events = [json.loads(line) for line in out.splitlines()]
    kinds = ["queued", "started", "progress", "progress", "preview", "image_done", "done"]
    assert [event["event"] for event in events] == kinds
    assert (events[4]["path"], events[5]["path"], events[5]["seed"]) == ("now.jpg", "a.png", 7)
    assert (code, err) == (0, "")


def test_cli_models_and_health(run: Any) -> None:
    with serve() as server:
        code, out, _ = run("models", "--address", server.address)
        assert (code, out.splitlines()[1].split()[:5]) == (0, ["vega", "base", "1024x1024", "25", "7.3"])
        assert json.loads(run("models", "--json", "--address", server.address)[1])[0]["limits"]["max_edge"] == 1024
        assert run("health", "--address", server.address)[:2] == (0, "SERVING\n")
        server.health.set("", 2)
        assert run("health", "--address", server.address)[:2] == (1, "NOT_SERVING\n")
        assert run("health", "vega", "--address", server.address)[0] == 4
    assert run("health", "--address", "127.0.0.1:1")[0] == 3


@pytest.mark.parametrize("code", list(KINDS))
def test_cli_exit_codes(run: Any, code: grpc.StatusCode) -> None:
    handler: Any = lambda _, context: refuse(context, code, "no", RetryInfo(retry_delay=Duration(seconds=4)))  # noqa: E731
    with serve(stream=handler) as server:
        exit_code, out, err = run("stream", "p", "--address", server.address)
    assert exit_code == EXIT_CODES.get(KINDS[code], 1)
    assert (out, err) == ("", "safelight: no (try again in 4 s)\n")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["generate"], "PROMPT"),
        (["generate", "p", "--size", "12"], "as 768x512"),
        (["generate", "p", "--refiner", "a@b"], "as refiner@0.8"),
        (["generate", "p", "--steps", "-1"], "steps=-1"),
        (["generate", "p", "--timeout", "-1"], "timeout"),
        (["refine", "nowhere.png", "p"], "nowhere.png"),
        (["stream", "p", "--strength", "0.5"], "no image"),
        (["health", "--address", "https://host"], "plain text"),
    ],
)
def test_cli_bad_arguments(run: Any, arguments: list[str], text: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert text in err
    assert "Traceback" not in err


def test_cli_help_and_version(run: Any) -> None:
    assert run("--version") == (0, f"safelight {safelight.__version__}\n", "")
    for command in ("generate", "refine", "stream", "models", "health"):
        assert command in run("--help")[1]
        code, out, _ = run(command, "--help")
        assert (code, "SAFELIGHT_ADDRESS" in out) == (0, True)


@pytest.mark.parametrize("command", ["generate", "stream"])
def test_cli_interrupt_cancels_on_the_server(tmp_path: Path, command: str) -> None:
    with serve(generate=fake.sleeping, stream=fake.endless) as server:
        argv = [sys.executable, "-m", "safelight", command, "p", "--address", server.address]
        process = subprocess.Popen(argv, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        assert server.called.wait(FOREVER)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=FOREVER)[1] == "safelight: cancelled\n"
        assert process.returncode == 130
        assert server.gone.wait(FOREVER)


def test_cli_reader_that_leaves(tmp_path: Path) -> None:
    with serve() as server:
        argv = [sys.executable, "-m", "safelight", "stream", "p", "--json", "--quiet", "--address", server.address]
        reading, writing = os.pipe()
        os.close(reading)
        process = subprocess.run(argv, cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
        os.close(writing)
    assert (process.returncode, process.stderr) == (1, "")


def _bmp() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(file, "BMP")
    return file.getvalue()


def _opened(path: Path | str) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
