"""Spans made in the test's own process: of jobs that fail, of headers that nobody should send, and never too many."""

from __future__ import annotations

import inspect
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from safelight_server.callers import LONGEST, Trace, trace_in, tracing
from safelight_server.engine.engine import Engine
from safelight_server.errors import InferenceFailed
from safelight_server.jobs import JobState
from safelight_server.lanes.network import Tensor
from safelight_server.observer import HOOKS, Observer, Outline, together
from safelight_server.traces import spans
from safelight_server.traces.spans import Spans
from support.engines import VEGA, draw, load, run
from support.networks import Breakable

OUTLINE = Outline("a", "a", "vega", "", "generate", 64, 64, 2, 1, "normal", "", False, Trace())


class Kept:
    """An observer, and the spans that it has ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.observer = Spans(provider.get_tracer("test"))

    @property
    def ended(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())


@pytest.fixture
def kept() -> Kept:
    return Kept()


class Poisoned(Breakable):
    async def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        outputs = await super().__call__(inputs)
        next(iter(outputs.values()))[:] = np.nan
        return outputs


def test_a_job_that_fails(kept: Kept) -> None:
    async def test() -> None:
        model = load("demo-vega")
        model.networks = model.networks._replace(unet=Poisoned(model.networks.unet))
        with pytest.raises(InferenceFailed):
            await draw(Engine({"demo-vega": model}, slots=1, queue=0, observer=kept.observer), VEGA)

    run(test)
    job = next(span for span in kept.ended if span.parent is None)
    stages = [span for span in kept.ended if span is not job]
    assert job.attributes is not None
    assert job.attributes["safelight.job.state"] == "failed"
    assert job.attributes["error.type"] == InferenceFailed.reason
    assert [span.name for span in stages] == ["queued", "encode", "denoise"]
    codes = [span.status.status_code for span in (*stages, job)]
    assert codes == [StatusCode.UNSET, StatusCode.UNSET, StatusCode.ERROR, StatusCode.ERROR]


def test_what_is_no_trace_counts_as_none(kept: Kept) -> None:
    """Any text may come in the two headers: a job begins a trace of its own then, and nothing breaks."""
    lots = random.Random(7)
    good = f"00-{'1' * 32}-{'2' * 16}-01"
    texts = ["", good + "-more", "ff" + good[2:], good.replace("1", "0"), good * 4, "\x00é", *_mangled(good, lots)]
    for number, text in enumerate(texts):
        trace = Trace(text, "".join(lots.choice("a=,;é \x00") for _ in range(lots.randrange(600))))
        token = tracing.set(trace)
        kept.observer.call_refused("http", "NOT_FOUND")
        tracing.reset(token)
        kept.observer.job_began(OUTLINE._replace(id=str(number), drawing=str(number), trace=trace))
        kept.observer.job_ended(str(number), JobState.SUCCEEDED, "")
    assert len([span for span in kept.ended if span.name != "refused"]) == len(texts)
    assert not [span for span in kept.ended if span.parent and f"{span.parent.trace_id:032x}" == "0" * 32]


def _mangled(text: str, lots: random.Random) -> Iterator[str]:
    for _ in range(200):
        place = lots.randrange(len(text) - 3)  # without its flags, which may say that it is not sampled
        yield text[:place] + lots.choice("-0gZ é") + text[place + lots.randrange(3) :]


def test_headers_that_are_too_long_count_as_not_sent() -> None:
    for name, most in LONGEST.items():
        for length, kept in ((most, True), (most + 1, False)):
            trace = trace_in([(name, "a" * length), ("other", "b")])
            assert (trace.parent or trace.state) == ("a" * length if kept else "")
    assert trace_in([("tracestate", "a=1"), ("tracestate", "b=2"), ("tracestate", b"raw")]).state == "a=1,b=2"


def test_a_reason_that_is_not_one_of_a_few_is_not_told(kept: Kept) -> None:
    tracing.set(Trace(f"00-{'1' * 32}-{'2' * 16}-01"))
    for reason in ("NOT_FOUND", "a caller's words", "X" * 50):
        kept.observer.call_refused("http", reason)
    tracing.set(Trace())
    assert [span.attributes and span.attributes["error.type"] for span in kept.ended] == [
        "NOT_FOUND",
        "_OTHER",
        "_OTHER",
    ]


def test_what_is_held_is_bounded(kept: Kept) -> None:
    observer = kept.observer
    for number in range(spans.MOST_KNOWN + 10):
        name = str(number)
        observer.job_began(OUTLINE._replace(id=name, drawing=name))
        observer.stage_began(name, "queued", None, "")
        observer.job_moved(name, "vega", JobState.CANCELLED)
        observer.job_ended(name, JobState.CANCELLED, "JOB_CANCELLED")
    assert len(observer._known) == spans.MOST_KNOWN
    assert not observer._jobs
    assert not observer._drawings
    observer.job_began(OUTLINE._replace(id="fork", drawing="fork", forked_from="0"))
    observer.end_all()
    assert kept.ended[-1].name == "draw vega"
    assert not kept.ended[-1].links, "its origin is forgotten; the attribute still names it"
    assert dict(kept.ended[-1].attributes or {})["safelight.job.forked_from"] == "0"
    observer.job_ended("fork", JobState.FAILED, "INTERNAL")  # what comes late is left out
    observer.stage_began("unknown", "queued", None, "")


@pytest.mark.parametrize("hook", HOOKS)
def test_several_observers_hear_the_same(hook: str) -> None:
    heard: list[tuple[int, tuple[Any, ...]]] = []

    def hearing(number: int) -> Observer:
        def hear(self: Observer, *told: Any) -> None:
            heard.append((number, told))

        kind: Any = type("Hearing", (Observer,), {hook: hear})
        return kind()  # type: ignore[no-any-return]

    def arguments(hook: str) -> tuple[int, ...]:
        return tuple(range(len(inspect.signature(getattr(Observer, hook)).parameters) - 1))

    for count in (0, 1, 2, 3):
        heard.clear()
        observer = together(Observer(), *map(hearing, range(count)))
        for other in HOOKS:
            getattr(observer, other)(*arguments(other))
        assert heard == [(number, arguments(hook)) for number in range(count)]


def test_a_call_that_made_a_job_is_not_told_beside_it(kept: Kept) -> None:
    """One call may make several jobs: their spans say what became of it."""
    trace = Trace(f"00-{'1' * 32}-{'2' * 16}-01")
    tracing.set(trace)
    for name in ("a", "b"):
        kept.observer.job_began(OUTLINE._replace(id=name, drawing=name, trace=trace))
    kept.observer.call_refused("grpc", "JOB_CANCELLED")
    tracing.set(Trace())
    kept.observer.end_all()
    assert [span.name for span in kept.ended] == ["draw vega", "draw vega"]
    assert {span.parent and span.parent.span_id for span in kept.ended} == {int("2" * 16, 16)}
