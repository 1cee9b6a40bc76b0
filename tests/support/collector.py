"""A collector of OpenTelemetry's: takes what is sent by OTLP over gRPC, and keeps it for a test to look at."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

PATIENCE = 60.0  # seconds


class Caller:
    """A span of somebody who calls, and of whose trace the server's spans become part."""

    def __init__(self, *, sampled: bool = True) -> None:
        self.trace, self.span = secrets.token_bytes(16), secrets.token_bytes(8)
        self.headers = {
            "traceparent": f"00-{self.trace.hex()}-{self.span.hex()}-{'01' if sampled else '00'}",
            "tracestate": "vendor=mark",
        }

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return tuple(self.headers.items())


class Collector(TraceServiceServicer):
    """`requests` are all that came, as they came."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.address = ""
        self._came = threading.Condition()

    def Export(self, request: ExportTraceServiceRequest, context: grpc.ServicerContext) -> ExportTraceServiceResponse:
        with self._came:
            self.requests.append(request)
            self._came.notify_all()
        return ExportTraceServiceResponse()

    def spans(self) -> list[Span]:
        resources = (each for request in list(self.requests) for each in request.resource_spans)
        return [span for each in resources for scope in each.scope_spans for span in scope.spans]

    def wait_for(self, wanted: Callable[[list[Span]], list[Span]]) -> list[Span]:
        """What `wanted` picks out of the spans, once it picks some."""
        with self._came:
            assert self._came.wait_for(lambda: wanted(self.spans()), PATIENCE), [span.name for span in self.spans()]
            return wanted(self.spans())

    def tree(self, caller: Caller) -> tuple[Span, list[Span]]:
        """The span below the caller's own, and those below it in their order. A parent is sent after its children."""
        (root,) = self.wait_for(lambda spans: [span for span in spans if span.parent_span_id == caller.span])
        assert root.trace_id == caller.trace
        below = self.wait_for(lambda spans: [span for span in spans if span.parent_span_id == root.span_id])
        assert all(span.trace_id == caller.trace for span in below)
        return root, sorted(below, key=lambda span: span.start_time_unix_nano)


def told(span: Any) -> dict[str, Any]:
    """The attributes of a span, of a link or of a resource."""
    return {pair.key: getattr(pair.value, str(pair.value.WhichOneof("value"))) for pair in span.attributes}


@contextmanager
def collect() -> Iterator[Collector]:
    """A collector on a free port."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(2))
    add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    collector.address = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(0).wait()
