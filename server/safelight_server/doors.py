"""The doors, and the traces, whose libraries are extras: made where they are asked for, or refused in words."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import grpc

from .access.tls import Tls
from .access.tokens import Tokens
from .config import Config
from .desk import Desk
from .errors import LoadError
from .extras import install_line
from .observer import Observer, together

if TYPE_CHECKING:
    from .http.door import Door
    from .traces.sending import Sending

log = logging.getLogger(__name__)

EXTRAS = {  # and their modules
    "http": ("prometheus_client", "python_multipart", "starlette", "uvicorn"),
    "otel": ("opentelemetry",),
}


@contextmanager
def _extra(name: str, option: str) -> Iterator[None]:
    """Of what imports an extra's libraries. Raises LoadError where they are not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRAS[name]:
            raise
        raise LoadError(f"{option} needs the extra [{name}]: {install_line(name)}") from None


def sending() -> Sending:
    """OpenTelemetry is met here and in traces/ alone. Raises LoadError, also for a variable OTEL_* that is bad."""
    with _extra("otel", "--traces"):
        from .traces.sending import Sending
    return Sending()


def http(
    desk: Desk, config: Config, tls: Tls | None, tokens: Tokens | None, also: Observer
) -> tuple[dict[str, Door], Observer]:
    """By what is there, and the observer that counts for them and tells `also`.

    Their libraries are an extra, and are met here, in http/ and in metrics/. Raises LoadError where they are not there.
    """
    if config.http is None and config.metrics is None:
        return {}, also
    check_extras(config)
    from .http import door
    from .http.metrics import Metrics

    metrics, found = Metrics(desk), {}
    observer = together(metrics.observer, also)
    for told, address, routes in (
        ("the page, OpenAI's and A1111's addresses", config.http, door.all_routes),
        ("the metrics", config.metrics, door.watching_routes),
    ):
        if address is not None:
            host, _, port = address.target.rpartition(":")
            found[told] = door.Door(routes(desk, metrics), host, int(port), tls, tokens, observer)
    return found, observer


def check_extras(config: Config) -> None:
    """Raises LoadError where something is asked for whose libraries are not there."""
    if config.http is not None or config.metrics is not None:
        with _extra("http", "--http" if config.http else "--metrics"):
            from .http import door, metrics  # noqa: F401
    if config.traces:
        with _extra("otel", "--traces"):
            from .traces import sending  # noqa: F401


async def open_all(doors: Mapping[str, Door], server: grpc.aio.Server) -> None:
    """Raises OSError for an address in use; by then all that listened is closed."""
    try:
        for told, door in doors.items():
            log.info("%s are at %s", told, await door.open())
    except OSError:
        for door in doors.values():
            await door.close(0)
        await server.stop(None)  # or its end is a traceback
        raise
