"""For whoever watches over the process: does it live, and does it take jobs? Both are told without a token."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from safelight_server.desk import Desk
from safelight_server.errors import JobError

NEVER_KEPT = {"cache-control": "no-store"}


class Probes:
    """Its routes: /healthz and /readyz, as Kubernetes asks for them."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        return [Route("/healthz", self.lives, methods=["GET"]), Route("/readyz", self.is_ready, methods=["GET"])]

    async def lives(self, request: Request) -> Response:
        return PlainTextResponse("ok\n", headers=NEVER_KEPT)

    async def is_ready(self, request: Request) -> Response:
        """503 while the models are loaded, while one of them heals, and once the server is about to leave."""
        try:
            ready = self._desk.jobs.engine.ready
        except JobError as error:
            return PlainTextResponse(f"{error}\n", 503, NEVER_KEPT)
        return PlainTextResponse(*(("ready\n", 200) if ready else ("not ready\n", 503)), headers=NEVER_KEPT)
