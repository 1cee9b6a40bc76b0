"""Answers that the caller cannot take, over TCP: refused before the drawing, or sent in pieces that fit."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
import safelight
from safelight.v1 import images_pb2 as pb
from safelight.v1.images_pb2_grpc import ImageServiceStub
from support.asking import JOB, LONG, events, generate
from support.clients import Connect
from support.failures import failure
from support.pictures import picture
from support.servers import ServerProcess

KEY = "safelight-max-response-bytes"
GRPCURL = Path(sys.executable).with_name("grpcurl")
AT_ONCE = 10.0  # seconds; the drawing would take minutes


def says(limit: int | str) -> tuple[tuple[str, str], ...]:
    return ((KEY, str(limit)),)


def test_a_caller_that_says_nothing_takes_4_mib(stub: ImageServiceStub) -> None:
    began = time.monotonic()
    source: dict[str, Any] = {"image": picture(), "strength": 1.0}
    for call in (
        lambda: stub.Generate(pb.GenerateRequest(**LONG)),
        lambda: stub.Refine(pb.RefineRequest(**LONG, **source)),
    ):
        found = failure(call)
        assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "ANSWER_TOO_LARGE")
        assert list(found.violations) == ["num_images", "width", "output"]
        assert "2 of them would fit" in found.violations["num_images"]
    assert time.monotonic() - began < AT_ONCE


@pytest.mark.skipif(not GRPCURL.exists(), reason="no grpcurl here")
@pytest.mark.parametrize("more", [(), ("-max-msg-sz", "67108864", "-H", f"{KEY}: 67108864")], ids=["4 MiB", "64 MiB"])
def test_grpcurl(server: ServerProcess, more: tuple[str, ...]) -> None:
    """By itself it takes 4 MiB. With both options it takes what is drawn: here until its patience ends."""
    asked = json.dumps({**LONG, "prompt": "a red apple"})
    method = "safelight.v1.ImageService/Generate"
    began = time.monotonic()
    command = [
        GRPCURL,
        "-plaintext",
        "-max-time",
        "20" if not more else "3",
        *more,
        "-d",
        asked,
        server.address,
        method,
    ]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert told.returncode
    if more:
        assert "DeadlineExceeded" in told.stderr
        return
    assert time.monotonic() - began < AT_ONCE
    for words in ("ANSWER_TOO_LARGE", "num_images", "call Stream", KEY, "4194304"):
        assert words in told.stderr


def test_what_fits_by_the_callers_own_word_is_drawn(stub: ImageServiceStub) -> None:
    request = pb.GenerateRequest(**JOB)
    assert failure(lambda: stub.Generate(request, metadata=says(10_000))).reason == "ANSWER_TOO_LARGE"
    assert stub.Generate(request, metadata=says(30_000)).images
    jpeg = pb.GenerateRequest(**JOB, output=pb.OutputOptions(format=pb.IMAGE_FORMAT_JPEG))
    assert stub.Generate(jpeg, metadata=says(10_000)).images, "a way out that the message tells"


@pytest.mark.parametrize("limit", ["many", "-1", "", "0", "4095", "99999999999999999999"])
def test_a_limit_that_is_none(stub: ImageServiceStub, limit: str) -> None:
    found = failure(lambda: stub.Generate(pb.GenerateRequest(**JOB), metadata=says(limit)))
    assert (found.code, list(found.violations)) == (grpc.StatusCode.INVALID_ARGUMENT, [KEY])


def test_what_is_too_large_all_the_same_is_told_as_clearly(stub: ImageServiceStub) -> None:
    """The pictures of a model that was never trained are noise, of which every estimate is too low."""
    output = pb.OutputOptions(format=pb.IMAGE_FORMAT_JPEG, quality=100)
    request = pb.GenerateRequest(**JOB, num_images=4, output=output)
    size = len(stub.Generate(request).SerializeToString())
    with pytest.raises(grpc.RpcError, match="has grown to"):
        stub.Generate(request, metadata=says(size - 100))
    assert stub.Generate(request, metadata=says(size + 100)).images, "and nothing is broken by it"


def test_a_stream_refuses_pictures_that_do_not_fit_alone(stub: ImageServiceStub) -> None:
    large = {**LONG, "width": 2048, "height": 2048, "num_images": 1}
    found = failure(lambda: events(stub, **large))
    assert list(found.violations) == ["generate.width", "generate.output"]


def in_pieces(stub: ImageServiceStub, size: int, **fields: Any) -> list[pb.StreamResponse]:
    request = pb.StreamRequest(generate=pb.GenerateRequest(**{**JOB, **fields}), max_image_bytes=size)
    return list(stub.Stream(request))


def test_pictures_come_in_pieces(stub: ImageServiceStub) -> None:
    told = in_pieces(stub, 4096, num_images=2)
    assert not any(response.HasField("image") for response in told)
    parts = [response.image_part for response in told if response.HasField("image_part")]
    assert all(len(part.image.data) <= 4096 for part in parts)
    for index in range(2):
        own = [part for part in parts if part.image.index == index]
        data = b"".join(part.image.data for part in own)
        assert data == generate(stub, seed=11 + index)
        assert len(own) == -(-len(data) // 4096)
        assert {part.total_bytes for part in own} == {len(data)}
        assert [part.offset for part in own] == list(range(0, len(data), 4096))
        numbers = {response.sequence for response in told if response.image_part.image.seed == 11 + index}
        assert len(numbers) == 1, "the parts of one picture have one number"
    numbers_told = [response.sequence for response in told]
    assert numbers_told == sorted(numbers_told), "in order; on a busy machine, some progress is skipped"


def test_a_picture_that_is_small_enough_comes_whole(stub: ImageServiceStub) -> None:
    assert in_pieces(stub, 100_000)[-2].image.data == generate(stub)


def test_the_size_of_pieces_is_checked_with_everything_else(stub: ImageServiceStub) -> None:
    found = failure(lambda: in_pieces(stub, 5, width=7))
    assert set(found.violations) == {"generate.width", "max_image_bytes"}


def test_the_clients_put_pieces_together(connect: Connect, server: ServerProcess, stub: ImageServiceStub) -> None:
    with connect(server.address).stream("a red apple", max_image_bytes=4096, num_images=2, **_without_prompt()) as told:
        seen = [event for event in told if isinstance(event, safelight.ImageDone)]
        result = told.final()
    assert result.files == [event.data for event in seen] == [generate(stub, seed=seed) for seed in (11, 12)]


def test_the_clients_say_what_they_take(connect: Connect, server: ServerProcess) -> None:
    client = connect(server.address)
    with pytest.raises(safelight.TimedOut):
        client.generate("p", width=1024, height=1024, steps=150, num_images=16, model="base", timeout=1)
    with pytest.raises(safelight.InvalidRequest) as caught:
        client.generate("p", width=2048, height=2048, steps=150, num_images=16, model="base")
    assert caught.value.reason == "ANSWER_TOO_LARGE"
    assert caught.value.metadata["limit"] == str(64 * 2**20)


def test_an_upload_over_the_limit_is_no_busy_server(connect: Connect, server: ServerProcess) -> None:
    upload = picture() + bytes(20 * 2**20)  # one of them is not scaled; two are too much for a request
    with pytest.raises(safelight.InvalidRequest, match="33,554,432") as caught:
        connect(server.address).refine(upload, "p", mask=upload)
    assert caught.value.reason == "MESSAGE_TOO_LARGE"
    assert caught.value.metadata["limit"] == "33554432"
    assert caught.value.retry_after is None


def _without_prompt() -> dict[str, Any]:
    return {name: value for name, value in JOB.items() if name != "prompt"}
