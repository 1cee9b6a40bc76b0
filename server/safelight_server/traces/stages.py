"""The stages of one drawing as spans, one after the other: a stage ends where the next one begins."""

from __future__ import annotations

from opentelemetry.context import Context
from opentelemetry.trace import Span, Tracer
from opentelemetry.trace.status import StatusCode

from safelight_server.jobs import JobState


class Stages:
    """Below the span of the job that `context` has. `steps` counts those of the present stage."""

    def __init__(self, tracer: Tracer, context: Context) -> None:
        self._tracer, self._context = tracer, context
        self._span: Span | None = None
        self.steps = 0

    def begin(self, stage: str, image: int | None, model: str) -> None:
        self._end()
        told = {"safelight.stage.image": image, "safelight.stage.model": model or None}
        attributes = {name: value for name, value in told.items() if value is not None}
        self._span = self._tracer.start_span(stage, self._context, attributes=attributes)

    def end(self, state: JobState) -> None:
        """The drawing is over: a stage that was cut short says how."""
        if self._span is not None and state in (JobState.CANCELLED, JobState.FAILED):
            self._span.set_attribute("safelight.job.state", state.value)
            if state is JobState.FAILED:
                self._span.set_status(StatusCode.ERROR)
        self._end()

    def _end(self) -> None:
        if self._span is not None:
            if self.steps:
                self._span.set_attribute("safelight.stage.steps", self.steps)
            self._span.end()
        self._span, self.steps = None, 0
