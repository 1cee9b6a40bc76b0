"""Spans sent to a collector by OTLP over gRPC, as the OTEL_* variables say: by a thread that nobody waits for."""

from __future__ import annotations

import asyncio
import logging
import os

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from safelight_server import __version__
from safelight_server.errors import LoadError

from .seldom import Seldom
from .spans import Spans

log = logging.getLogger(__name__)

NAME = "safelight"
PROTOCOL = "grpc"
PROTOCOLS = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"  # the first that is set counts


class Sending:
    """`observer` makes the spans. Raises LoadError for a variable that cannot be read.

    What is told by OpenTelemetry's libraries goes to the log, but seldom: they say the same at every attempt.
    """

    def __init__(self) -> None:
        self._seldom = Seldom()
        _check_protocol()
        try:
            self._exporter = OTLPSpanExporter()
            self._provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
            self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        except Exception as error:  # each of the variables has errors of its own kinds
            raise LoadError(f"--traces: {_named_in(error)} cannot be read: {error}") from error
        self.observer = Spans(self._provider.get_tracer(NAME, __version__))
        log.info("traces are sent by OTLP; OTEL_EXPORTER_OTLP_ENDPOINT says where to")

    async def close(self, patience: float) -> None:
        """Sends what is left, for so many seconds at most."""
        self.observer.end_all()
        ending = asyncio.create_task(asyncio.to_thread(self._provider.shutdown))
        await asyncio.wait((ending,), timeout=patience)
        self._seldom.close()
        if not ending.done():
            log.warning("the last spans are lost: the collector did not take them in %g s", patience)
            await asyncio.to_thread(self._exporter.shutdown)  # cuts off the attempt that goes on
            await asyncio.wait((ending,), timeout=patience)


def _resource() -> Resource:
    """Ours by a name that OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES may change."""
    told = OTELResourceDetector().detect().attributes
    return Resource.create({"service.name": NAME, "service.version": __version__, **told})


def _named_in(error: Exception) -> str:
    """The variables whose values an error tells: often it has no names."""
    told = {name for name, value in os.environ.items() if name.startswith("OTEL_") and value and value in str(error)}
    return ", ".join(sorted(told)) or "a variable OTEL_..."


def _check_protocol() -> None:
    name = next((name for name in PROTOCOLS if os.environ.get(name)), PROTOCOLS[0])
    told = os.environ.get(name) or PROTOCOL
    if told != PROTOCOL:
        raise LoadError(f"--traces: {name} must be {PROTOCOL} (OTLP over gRPC), or not set, not {told[:80]!r}")
