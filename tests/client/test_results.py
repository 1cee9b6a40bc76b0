"""The client over TCP against a scripted server: the results and events that it makes of the answers."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import safelight
from safelight.v1 import images_pb2 as pb
from support import fake_server as fake
from support.clients import Connect
from support.fake_server import FOREVER, serve
from support.files import opened

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
    assert cast(Any, opened(path)).text["parameters"] == "a red apple"
    assert one.save(tmp_path / "apple") == [tmp_path / "apple"]
    assert (tmp_path / "apple").read_bytes() == one.files[0]
    one.save(tmp_path / "apple.JPG")
    assert opened(tmp_path / "apple.JPG").format == "JPEG"
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


# What else the server tells


def test_models(connect: Connect) -> None:
    with serve() as server:
        (model,) = connect(server.address).models()
    assert (model.name, model.kind, model.precision, model.device) == ("vega", "base", "bf16", "CPU")
    assert model.limits == safelight.Limits(64, 1024, 8, 100, 4, 77)
    assert model.defaults == safelight.Defaults(1024, 1024, 25, 7.3, "euler")
    assert model.has_deep_cache
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
