"""The client over TCP against a scripted server: the requests that it sends."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safelight
from google.protobuf.duration_pb2 import Duration
from PIL import Image
from safelight.v1 import images_pb2 as pb
from support import fake_server as fake
from support.clients import Connect
from support.fake_server import serve
from support.files import written


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
            priority="interactive", acceleration=safelight.Acceleration(3, 0.5, True),
            prompt_syntax="weighted", request_id="mine", on_disconnect="keep", grace=5, retain=0.5, stop_at_step=2,
            wait_for_model=False,
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
        output=pb.OutputOptions(format=pb.IMAGE_FORMAT_JPEG, quality=80), priority=pb.PRIORITY_INTERACTIVE,
        acceleration=pb.Acceleration(deep_cache_interval=3, guidance_until=0.5, tiny_decoder=True),
        prompt_syntax=pb.PROMPT_SYNTAX_WEIGHTED, request_id="mine", on_disconnect=pb.ON_DISCONNECT_KEEP,
        grace=Duration(seconds=5), retain=Duration(nanos=500_000_000), stop_at_step=2,
        wait_for_model=False,
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
        ({"priority": "soon"}, ValueError, "priority='soon'"),
        ({"prompt_syntax": "heavy"}, ValueError, "prompt_syntax='heavy'"),
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
        lambda folder: written(folder / "image.bmp", _bmp()),
        lambda folder: str(written(folder / "image.png", fake.picture())),
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


def _bmp() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(file, "BMP")
    return file.getvalue()
