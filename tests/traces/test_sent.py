"""What a collector gets from a server process: one tree for each job, below its caller's span, and nobody's words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from safelight.v1 import images_pb2 as pb
from safelight.v1 import jobs_pb2 as jobs
from safelight.v1.images_pb2_grpc import ImageServiceStub
from safelight.v1.jobs_pb2_grpc import JobServiceStub
from safelight_server import __version__, demo
from support.collector import Caller, Collector, collect, told
from support.http_server import HttpServer

SECRET = "a prompt that nobody else may see"
STAGES = ["queued", "encode", "denoise", "decode", "save"]
SMALL: dict[str, Any] = {"model": "demo-vega", "prompt": SECRET, "steps": 2, "width": 64, "height": 128, "seed": 1}
LONG: dict[str, Any] = {**SMALL, "scheduler": "euler", "steps": 150, "width": 512, "height": 512, "num_images": 16}
DOCS = Path(__file__).parents[2] / "docs/operations.md"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collect() as started:
        yield started


@pytest.fixture(scope="module")
def server(collector: Collector) -> Iterator[HttpServer]:
    models = [f"--model={name}={demo.FOLDERS[name]}" for name in ("demo-vega", "demo-xl")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.address)
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        patch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        with HttpServer("--traces", *models) as process:
            yield process


@pytest.fixture(scope="module")
def channel(server: HttpServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.address) as opened:
        yield opened


@pytest.fixture
def images(channel: grpc.Channel) -> ImageServiceStub:
    return ImageServiceStub(channel)


def names(spans: list[Span]) -> list[str]:
    return [span.name for span in spans]


def test_a_call_by_grpc(images: ImageServiceStub, collector: Collector) -> None:
    caller = Caller()
    answer = images.Generate(pb.GenerateRequest(**SMALL, priority=pb.PRIORITY_INTERACTIVE), metadata=caller.metadata)
    job, below = collector.tree(caller)
    assert (job.name, job.kind, job.status.code) == ("draw demo-vega", Span.SPAN_KIND_SERVER, Status.STATUS_CODE_UNSET)
    assert job.trace_state == "vendor=mark"
    assert told(job) == {
        "gen_ai.request.model": "demo-vega",
        "gen_ai.output.type": "image",
        "safelight.job.id": answer.job_id,
        "safelight.job.method": "generate",
        "safelight.job.width": 64,
        "safelight.job.height": 128,
        "safelight.job.steps": 2,
        "safelight.job.images": 1,
        "safelight.job.priority": "interactive",
        "safelight.job.state": "succeeded",
    }
    assert names(below) == STAGES
    assert [told(span) for span in below] == [
        {},
        {},
        {"safelight.stage.image": 0, "safelight.stage.model": "demo-vega", "safelight.stage.steps": 2},
        {"safelight.stage.image": 0, "safelight.stage.model": "demo-vega"},
        {"safelight.stage.image": 0},
    ]
    ends = [span.end_time_unix_nano for span in below]
    assert [span.start_time_unix_nano for span in below[1:]] >= ends[:-1], "a stage begins where another one ends"
    assert job.start_time_unix_nano <= below[0].start_time_unix_nano
    assert ends[-1] <= job.end_time_unix_nano


def test_a_job_by_http(server: HttpServer, collector: Collector) -> None:
    caller = Caller()
    with server.client() as http:
        asked = http.post("/api/jobs", json={"generate": SMALL | {"seed": 2}}, headers=caller.headers)
        assert asked.status_code == 201, asked.text
        job, below = collector.tree(caller)
        assert told(job)["safelight.job.id"] == asked.json()["id"]
        assert told(job)["safelight.job.state"] == "succeeded"
        assert job.trace_state == "vendor=mark"
        assert names(below) == STAGES
        caller = Caller()
        body = {"model": "demo-vega", "prompt": SECRET, "size": "64x64"}
        assert http.post("/v1/images/generations", json=body, headers=caller.headers).status_code == 200
        assert names(collector.tree(caller)[1]) == STAGES


def test_a_cancelled_stream(images: ImageServiceStub, collector: Collector) -> None:
    caller = Caller()
    events = images.Stream(pb.StreamRequest(generate=pb.GenerateRequest(**LONG)), metadata=caller.metadata)
    assert any(event.HasField("progress") for event in events)
    events.cancel()
    job, below = collector.tree(caller)
    assert told(job)["safelight.job.state"] == "cancelled"
    assert told(job)["safelight.job.cancel_reason"] == "JOB_CANCELLED"
    assert names(below) == STAGES[:3]
    assert told(below[-1])["safelight.job.state"] == "cancelled", "the stage that was cut short"
    assert told(below[-1])["safelight.stage.steps"] < 150
    assert "error.type" not in told(job)
    assert all(span.status.code == Status.STATUS_CODE_UNSET for span in (job, *below)), "nobody has made an error"
    assert below[-1].end_time_unix_nano <= job.end_time_unix_nano


def test_each_image_has_its_own_stages_and_each_model_of_it(images: ImageServiceStub, collector: Collector) -> None:
    caller = Caller()
    # Of a shape whose batches no warm-up measures: images that are drawn together have one stage of steps.
    asked = SMALL | {"num_images": 2, "steps": 4, "model": "demo-xl", "width": 192}
    refiner = pb.RefinerStage(model="demo-vega", handoff=0.5)
    images.Generate(pb.GenerateRequest(**asked, refiner=refiner), metadata=caller.metadata)
    job, below = collector.tree(caller)
    assert told(job)["safelight.job.refiner"] == "demo-vega"
    found = [
        (span.name, told(span).get("safelight.stage.image"), told(span).get("safelight.stage.model")) for span in below
    ]
    assert found[2:] == [
        (name, image, model)
        for image in (0, 1)
        for name, model in (("denoise", "demo-xl"), ("denoise", "demo-vega"), ("decode", "demo-vega"), ("save", None))
    ]
    steps = [told(span)["safelight.stage.steps"] for span in below if span.name == "denoise"]
    assert sum(steps) == 2 * told(job)["safelight.job.steps"]


def test_what_the_caller_does_not_sample_is_not_sent(images: ImageServiceStub, collector: Collector) -> None:
    unsampled, sampled = Caller(sampled=False), Caller()
    for caller in (unsampled, sampled):
        images.Generate(pb.GenerateRequest(**SMALL), metadata=caller.metadata)
    collector.tree(sampled)
    assert not [span for span in collector.spans() if span.trace_id == unsampled.trace]


def test_a_call_without_a_trace_begins_one(images: ImageServiceStub, collector: Collector) -> None:
    for metadata in ((), (("traceparent", "of nobody"), ("tracestate", "=,="))):
        job_id = images.Generate(pb.GenerateRequest(**SMALL), metadata=metadata).job_id
        (job,) = collector.wait_for(
            lambda spans, job_id=job_id: [span for span in spans if told(span).get("safelight.job.id") == job_id]  # type: ignore[misc]
        )
        assert not job.parent_span_id
        assert any(job.trace_id)


def test_a_refused_call_is_told_in_its_callers_trace_alone(
    server: HttpServer, images: ImageServiceStub, collector: Collector
) -> None:
    bad = pb.GenerateRequest(**SMALL | {"steps": 0})
    by_grpc, by_http, last = Caller(), Caller(), Caller()
    with server.client() as http:
        for metadata in ((), by_grpc.metadata):
            with pytest.raises(grpc.RpcError):
                images.Generate(bad, metadata=metadata)
        for headers in ({}, by_http.headers):
            assert http.get("/api/jobs/none", headers=headers).status_code == 404
    images.Generate(pb.GenerateRequest(**SMALL), metadata=last.metadata)
    collector.tree(last)
    refused = {span.parent_span_id: span for span in collector.spans() if span.name == "refused"}
    assert set(refused) == {by_grpc.span, by_http.span}
    found = refused[by_grpc.span], refused[by_http.span]
    assert [told(span) for span in found] == [
        {"error.type": "INVALID_REQUEST", "safelight.door": "grpc"},
        {"error.type": "JOB_NOT_FOUND", "safelight.door": "http"},
    ]
    assert all(span.status.code == Status.STATUS_CODE_UNSET for span in found), "it is not the server's error"


def test_a_job_that_shares_a_drawing_is_linked_to_it(images: ImageServiceStub, collector: Collector) -> None:
    first, second = Caller(), Caller()
    asked = pb.StreamRequest(generate=pb.GenerateRequest(**LONG | {"seed": 9}))
    streams = []
    for caller in (first, second):
        streams.append(images.Stream(asked, metadata=caller.metadata))
        assert any(event.HasField("progress") for event in streams[-1])
    for stream in streams:
        stream.cancel()
    (sharing,) = collector.wait_for(lambda spans: [span for span in spans if span.parent_span_id == second.span])
    drawn, below = collector.tree(first)  # by now the drawing is over, too: it went on for the second one
    assert told(sharing)["safelight.job.shares"] == told(drawn)["safelight.job.id"]
    (link,) = sharing.links
    assert (link.trace_id, link.span_id) == (drawn.trace_id, drawn.span_id)
    assert told(link) == {"safelight.link": "shares"}
    assert names(below) == STAGES[:3]
    assert not [span for span in collector.spans() if span.parent_span_id == sharing.span_id]


def test_a_fork_is_linked_to_its_origin(channel: grpc.Channel, collector: Collector) -> None:
    service, first, second = JobServiceStub(channel), Caller(), Caller()
    generate = pb.GenerateRequest(**SMALL | {"steps": 8})
    origin = service.Submit(jobs.SubmitRequest(generate=generate), metadata=first.metadata)
    drawn, _ = collector.tree(first)
    asked = jobs.ForkRequest(job_id=origin.job.id, step=4)
    service.Fork(asked, metadata=second.metadata)
    forked, below = collector.tree(second)
    assert told(forked)["safelight.job.forked_from"] == origin.job.id
    (link,) = forked.links
    assert (link.trace_id, link.span_id) == (drawn.trace_id, drawn.span_id)
    assert told(link) == {"safelight.link": "forked_from"}
    assert told(below[2])["safelight.stage.steps"] == 4


def test_the_process_is_named(images: ImageServiceStub, collector: Collector) -> None:
    caller = Caller()
    images.Generate(pb.GenerateRequest(**SMALL), metadata=caller.metadata)
    collector.tree(caller)
    found = told(collector.requests[0].resource_spans[0].resource)
    assert (found["service.name"], found["service.version"]) == ("safelight", __version__)
    assert found["deployment.environment.name"] == "test"


def test_metrics_hear_the_same(server: HttpServer, images: ImageServiceStub, collector: Collector) -> None:
    """Two observers at a time, and each is told everything."""

    def succeeded() -> float:
        text = httpx.get(f"{server.url}/metrics").text
        found = re.search(r'safelight_jobs_ended_total\{model="demo-vega",state="succeeded"\} (\S+)', text)
        return float(found[1]) if found else 0.0

    before, caller = succeeded(), Caller()
    images.Generate(pb.GenerateRequest(**SMALL), metadata=caller.metadata)
    collector.tree(caller)
    assert succeeded() == before + 1


def test_nothing_that_is_sent_is_a_callers_words(
    server: HttpServer, images: ImageServiceStub, collector: Collector
) -> None:
    """Of all that the tests before this one have caused, too; and each attribute is told in the docs."""
    caller, model = Caller(), "a model of this name"
    with pytest.raises(grpc.RpcError):
        images.Generate(pb.GenerateRequest(**SMALL | {"model": model}), metadata=caller.metadata)
    with pytest.raises(grpc.RpcError):
        images.Generate(pb.GenerateRequest(**SMALL, request_id=SECRET * 9), metadata=caller.metadata)
    images.Generate(pb.GenerateRequest(**SMALL, request_id="their-own-words"), metadata=caller.metadata)
    bad_state = (caller.metadata[0], ("tracestate", "a=1,words of a header"))
    images.Generate(pb.GenerateRequest(**SMALL), metadata=bad_state)
    collector.wait_for(lambda spans: [span for span in spans if span.trace_id == caller.trace and span.name == "save"])
    raw = b"".join(request.SerializeToString() for request in collector.requests)
    for words in (SECRET, model, "their-own-words"):
        assert words.encode() not in raw
    assert "words of a header" not in server.log()
    spans = collector.spans()
    keys = {key for span in spans for each in (span, *span.links) for key in told(each)}
    assert len(keys) > 10
    assert not keys - set(re.findall(r"`([a-z_.]+)`", DOCS.read_text(encoding="utf-8")))
    assert {span.name for span in spans} <= {"draw demo-vega", "draw demo-xl", "refused", *STAGES}
    assert not any(span.events for span in spans)
