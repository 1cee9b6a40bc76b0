"""What happens to jobs, as spans of OpenTelemetry: one for each job, and below it one for each stage of its drawing."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from weakref import WeakSet

from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Tracer, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.trace.status import StatusCode

from safelight_server.callers import Trace, tracing
from safelight_server.errors import Unexpected
from safelight_server.jobs import JobState
from safelight_server.observer import Observer, Outline

from .stages import Stages

W3C = TraceContextTextMapPropagator()
MOST_KNOWN = 4096  # jobs that others may be linked to
REASON = re.compile(r"[A-Z][A-Z_]{1,39}")
OTHER = "_OTHER"  # by the conventions: of an error whose kind is not one of a few

# Where the reason of an end is told. Who cancels a job has made no error.
REASONS = {JobState.FAILED: "error.type", JobState.CANCELLED: "safelight.job.cancel_reason"}


class Spans(Observer):
    """Makes them with `tracer`, which says where they go. It holds a span for each job that goes on, and no more."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._jobs: dict[str, Span] = {}
        self._drawings: dict[str, Stages] = {}  # by the job that each was begun for
        self._known: OrderedDict[str, SpanContext] = OrderedDict()
        self._taken: WeakSet[Trace] = WeakSet()  # of calls that made a job

    def call_refused(self, door: str, reason: str) -> None:
        """Only in the trace of a caller: nobody would look for it elsewhere, and metrics count it."""
        trace = tracing.get()
        parent = _parent(trace)
        if trace in self._taken or not get_current_span(parent).get_span_context().is_valid:
            return
        attributes = {"error.type": reason if REASON.fullmatch(reason) else OTHER, "safelight.door": door}
        span = self._tracer.start_span("refused", parent, SpanKind.SERVER, attributes)
        if reason == Unexpected.reason:  # by the conventions, a server's spans have none of the callers' errors
            span.set_status(StatusCode.ERROR)
        span.end()

    def job_began(self, job: Outline) -> None:
        kind = SpanKind.INTERNAL if job.resumed else SpanKind.SERVER
        span = self._tracer.start_span(
            f"draw {job.model}", _parent(job.trace), kind, _attributes(job), list(self._links(job))
        )
        self._taken.add(job.trace)
        self._jobs[job.id] = span
        self._known[job.id] = span.get_span_context()
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        if job.drawing == job.id:
            self._drawings[job.id] = Stages(self._tracer, set_span_in_context(span, Context()))

    def job_ended(self, job_id: str, state: JobState, reason: str) -> None:
        if span := self._jobs.pop(job_id, None):
            span.set_attribute("safelight.job.state", state.value)
            if reason:
                span.set_attribute(REASONS.get(state, "error.type"), reason)
            if state is JobState.FAILED:
                span.set_status(StatusCode.ERROR)
            span.end()

    def job_moved(self, job_id: str, model: str, state: JobState) -> None:
        if state.final and (stages := self._drawings.pop(job_id, None)):
            stages.end(state)

    def stage_began(self, job_id: str, stage: str, image: int | None, model: str) -> None:
        if stages := self._drawings.get(job_id):
            stages.begin(stage, image, model)

    def step_ended(self, job_id: str) -> None:
        if stages := self._drawings.get(job_id):
            stages.steps += 1

    def end_all(self) -> None:
        """The process ends: what is still there is sent as it is, without a state."""
        for span in self._jobs.values():
            span.end()
        self._jobs.clear()

    def _links(self, job: Outline) -> Iterator[Link]:
        for relation, other in (("forked_from", job.forked_from), ("shares", job.drawing)):
            if other and other != job.id and (context := self._known.get(other)):
                yield Link(context, {"safelight.link": relation})


def _parent(trace: Trace) -> Context:
    """Of a caller's span, or of none; what is not in W3C's form counts as none."""
    return W3C.extract({"traceparent": trace.parent, "tracestate": trace.state}, Context())


def _attributes(job: Outline) -> Mapping[str, str | int | bool]:
    told: dict[str, str | int | bool] = {
        "gen_ai.request.model": job.model,
        "gen_ai.output.type": "image",
        "safelight.job.id": job.id,
        "safelight.job.method": job.method,
        "safelight.job.width": job.width,
        "safelight.job.height": job.height,
        "safelight.job.steps": job.steps,
        "safelight.job.images": job.images,
        "safelight.job.priority": job.priority,
        "safelight.job.refiner": job.refiner,
        "safelight.job.forked_from": job.forked_from,
        "safelight.job.shares": job.drawing if job.drawing != job.id else "",
        "safelight.job.resumed": job.resumed,
    }
    return {name: value for name, value in told.items() if value != "" and value is not False}
