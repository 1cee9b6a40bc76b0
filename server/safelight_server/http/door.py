"""The HTTP door: listens beside the gRPC one in the same process and loop, and leaves with it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Sequence

import python_multipart  # noqa: F401 - Starlette wants it only once a form comes: it is to be missed at the start
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from safelight_server.access.tls import Tls
from safelight_server.access.tokens import Tokens
from safelight_server.desk import Desk
from safelight_server.observer import SILENT, Observer

from . import listener, static_files
from .a1111 import routes as a1111
from .a1111.routes import A1111
from .api import Api
from .connections import Connection
from .failures import Failures
from .guard import Guard
from .metrics import Metrics
from .openai import answers
from .openai.routes import OpenAi
from .probes import Probes
from .repeats import Repeats

MOST_CONNECTIONS = 512
IDLE = 30  # seconds without a request after which a connection is closed


def all_routes(desk: Desk, metrics: Metrics) -> list[Route]:
    """Of a door for everybody: programs, the page, and whoever watches over the server."""
    repeats = Repeats()
    parts = Api(desk), OpenAi(desk, repeats), A1111(desk, repeats)
    return [
        *watching_routes(desk, metrics),
        *(route for part in parts for route in part.routes()),
        *static_files.routes(),
    ]


def watching_routes(desk: Desk, metrics: Metrics) -> list[Route]:
    """Of a door for those alone who watch over the server."""
    return [*Probes(desk).routes(), *metrics.routes()]


class Door:
    """Takes requests for `routes` at `host`:`port` from `open` on, until `close`."""

    def __init__(
        self,
        routes: Sequence[Route],
        host: str,
        port: int,
        tls: Tls | None = None,
        tokens: Tokens | None = None,
        observer: Observer = SILENT,
    ) -> None:
        self._host, self._port, self._tls = host, port, tls
        failures = Failures({"/v1/": answers.failure, "/sdapi/": a1111.failure}, observer)
        app = Starlette(routes=routes, exception_handlers=failures.handlers())
        logging.getLogger("uvicorn").setLevel(logging.WARNING)  # the guard has a line for each request
        self._server = _Server(
            uvicorn.Config(
                Guard(app, failures, host, tokens, observer),
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                http=Connection,
                limit_concurrency=MOST_CONNECTIONS,
                timeout_keep_alive=IDLE,
                server_header=False,
                proxy_headers=False,
            )
        )
        self._serving: asyncio.Task[None] | None = None

    async def open(self) -> str:
        """Listens, and gives the address as a browser takes it. Raises OSError for one that is in use, or not ours."""
        opened = listener.bind(self._host, self._port)
        if self._tls is not None:
            self._server.config.load()
            self._server.config.ssl = self._tls.context()
        self._serving = asyncio.create_task(self._server.serve([opened]))
        return f"{'https' if self._tls else 'http'}://{self._host}:{opened.getsockname()[1]}"

    async def close(self, patience: float) -> None:
        """No new requests; those that run have so many seconds to send their last bytes."""
        if self._serving is not None:
            self._server.config.timeout_graceful_shutdown = max(1, round(patience))
            self._server.should_exit = True
            await asyncio.wait((self._serving,), timeout=patience + 1)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the process's own."""
        yield
