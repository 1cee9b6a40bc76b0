"""The door for Prometheus: /metrics, in the text format or in OpenMetrics, as it is asked for."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from safelight_server.desk import Desk
from safelight_server.metrics.counting import Counting
from safelight_server.metrics.standing import Standing


class Metrics:
    """`observer` counts what it hears; `routes` tell it, and how the engine of the desk stands."""

    def __init__(self, desk: Desk) -> None:
        self._registry = CollectorRegistry()
        self.observer = Counting(self._registry)
        self._registry.register(Standing(desk))
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def routes(self) -> list[Route]:
        return [Route("/metrics", self.tell, methods=["GET"])]

    async def tell(self, request: Request) -> Response:
        encode, kind = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._registry), headers={"content-type": kind, "cache-control": "no-store"})
