"""The client over TCP against a scripted server: pictures in pieces, and messages that are over gRPC's limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
import safelight
from safelight.v1 import images_pb2 as pb
from support import fake_server as fake
from support.clients import Connect
from support.fake_server import serve

DATA = bytes(range(10))


def parts(*pieces: tuple[int, int, int]) -> fake.Handler:
    """A handler that sends bytes from and to these places as parts of a picture of so many bytes; and Done."""

    def handler(request: pb.StreamRequest, context: grpc.ServicerContext) -> Iterator[pb.StreamResponse]:
        for start, end, total in pieces:
            image = pb.Image(index=0, seed=7, format=pb.IMAGE_FORMAT_PNG, data=DATA[start:end], width=8, height=16)
            part = pb.ImagePart(image=image, offset=start, total_bytes=total)
            yield pb.StreamResponse(job_id="job", sequence=4, image_part=part)
        yield pb.StreamResponse(job_id="job", sequence=5, done=pb.Done(timings=fake.TIMINGS))

    return handler


def test_pieces_become_one_picture(connect: Connect) -> None:
    with serve(stream=parts((0, 4, 10), (4, 8, 10), (8, 10, 10))) as server:
        with connect(server.address).stream("p", max_image_bytes=5000) as stream:
            image, done = list(stream)
            result = stream.final()
        assert server.requests[0].max_image_bytes == 5000
    assert isinstance(image, safelight.ImageDone)
    assert isinstance(done, safelight.Done)
    assert (image.data, image.seed, image.format, image.width, image.sequence) == (DATA, 7, "png", 8, 4)
    assert result.files == [DATA]


def test_pieces_are_not_asked_for_by_default(connect: Connect) -> None:
    with serve() as server:
        connect(server.address).stream("p").final()
        assert not server.requests[0].HasField("max_image_bytes")


@pytest.mark.parametrize(
    "pieces", [[(4, 8, 10)], [(0, 4, 10), (8, 10, 10)], [(0, 4, 10), (2, 6, 10)], [(0, 4, 6), (4, 8, 6)]], ids=str
)
def test_pieces_that_do_not_fit_together(connect: Connect, pieces: list[Any]) -> None:
    with serve(stream=parts(*pieces)) as server:
        stream = connect(server.address).stream("p")
        with stream, pytest.raises(safelight.Internal, match="do not fit together"):
            stream.final()


@pytest.mark.parametrize("call", ["generate", "stream"])
def test_an_answer_over_the_clients_limit(connect: Connect, call: str) -> None:
    large = pb.Image(data=bytes(65 * 2**20))

    def stream(request: Any, context: grpc.ServicerContext) -> Iterator[pb.StreamResponse]:
        yield pb.StreamResponse(image=large)

    with serve(generate=lambda *_: fake.answer(large), stream=stream) as server:
        client = connect(server.address)
        with pytest.raises(safelight.InvalidRequest, match="the answer is too large") as caught:
            client.generate("p") if call == "generate" else client.stream("p").final()
        assert len(server.requests) == 1
    assert (caught.value.code, caught.value.reason) == ("RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE")
    assert caught.value.metadata["limit"] == str(64 * 2**20)


@pytest.mark.parametrize(
    "text",
    [
        "SERVER: Received message larger than max (34603008 vs. 33554432)",
        "CLIENT: Sent message larger than max (34603008 vs. 33554432)",
        "grpc: received message larger than max (34603008 vs. 33554432)",
        "gRPC message exceeds maximum size 33554432: 34603008",
    ],
)
def test_a_request_over_a_limit_in_the_words_of_each_library(connect: Connect, text: str) -> None:
    def handler(request: Any, context: grpc.ServicerContext) -> Any:
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, text)

    with serve(refine=handler) as server:
        with pytest.raises(safelight.InvalidRequest, match="the request is too large") as caught:
            connect(server.address).refine(fake.picture(), "p")
        assert len(server.requests) == 1
    assert caught.value.retry_after is None


def test_the_server_is_told_what_the_client_takes(connect: Connect) -> None:
    told: list[Any] = []

    def note(answer: fake.Handler) -> fake.Handler:
        def handler(request: Any, context: grpc.ServicerContext) -> Any:
            told.append(dict(context.invocation_metadata()).get("safelight-max-response-bytes"))
            return answer(request, context)

        return handler

    with serve(generate=note(fake.generated), refine=note(fake.refined), stream=note(fake.streamed)) as server:
        client = connect(server.address)
        client.generate("p")
        client.refine(fake.picture(), "p")
        client.stream("p").final()
    assert told == [str(64 * 2**20)] * 3
