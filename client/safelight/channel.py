"""How to speak to the server: channel options, metadata, timeouts."""

from __future__ import annotations

import json
import math
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .addresses import has_several, is_loopback

QUICK = 10.0  # seconds for calls that draw nothing, when no timeout is given
MIB = 1024 * 1024

MAX_RESPONSE = 64 * MIB
REQUEST_ID, AUTHORIZATION = "x-request-id", "authorization"

# Calls take turns on several servers, and go to those alone whose health says SERVING (gRFC A17).
ROUND_ROBIN = json.dumps(
    {"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}},
)

# gRPC ignores a misspelt name in silence: each of these has a test that fails without it.
OPTIONS: list[tuple[str, int]] = [
    ("grpc.max_receive_message_length", MAX_RESPONSE),
    # So that a server that comes back is found within seconds. By default gRPC looks every two minutes in the end, and
    # calls fail at once meanwhile.
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # So that a dead network is noticed within a minute, also while the server is silent during long steps. By default
    # gRPC waits a minute for the answer to a ping, whatever keepalive_timeout says (that is TCP's), and sends only two
    # pings in a row.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.ping_timeout_ms", 20_000),
    ("grpc.http2.max_pings_without_data", 0),
]

Pairs = Mapping[str, Any] | Iterable[tuple[str, Any]]


def options_for(target: str, usual: Sequence[tuple[str, Any]], more: Pairs | None) -> list[tuple[str, Any]]:
    """The options of a channel to `target`: the usual ones, and the caller's own, which count more."""
    chosen: dict[str, Any] = dict(usual)
    if has_several(target):
        chosen["grpc.service_config"] = ROUND_ROBIN
    if is_loopback(target):
        chosen["grpc.enable_http_proxy"] = 0
    return list((chosen | dict(more or ())).items())


class CallMetadata:
    """What is sent with each call: the most that is taken as an answer, who calls, the caller's own, and a log's id."""

    def __init__(self, options: Iterable[tuple[str, Any]], authorization: Pairs, more: Pairs | None) -> None:
        # The server refuses a larger answer before it draws it, which gRPC would refuse here after that.
        most = dict(options)["grpc.max_receive_message_length"]
        limits = {} if most < 0 else {"safelight-max-response-bytes": str(most)}
        pairs = more.items() if isinstance(more, Mapping) else more or ()
        own = tuple((name.lower(), value) for name, value in pairs)
        if not any(name == AUTHORIZATION for name, _ in own):  # the caller's own counts more
            own = (*dict(authorization).items(), *own)
        self._pairs = (*limits.items(), *own)

    def of_call(self) -> tuple[str, tuple[tuple[str, Any], ...]]:
        """The id of a new request, by which the server's log knows it, and its metadata."""
        named = next((value for name, value in self._pairs if name == REQUEST_ID), None)
        if named is not None:
            return str(named), self._pairs
        made = secrets.token_hex(8)
        return made, (*self._pairs, (REQUEST_ID, made))


def timeout_of(timeout: float | None) -> float | None:
    """Seconds for each call; None: $SAFELIGHT_TIMEOUT, else as long as it takes. Raises ValueError below 0."""
    variable = os.environ.get("SAFELIGHT_TIMEOUT", "").strip()
    try:
        chosen = float(variable) if timeout is None and variable else timeout
    except ValueError:
        chosen = math.nan
    if chosen is not None and not chosen > 0:
        source = f"SAFELIGHT_TIMEOUT={variable!r}" if timeout is None else f"timeout={timeout}"
        raise ValueError(f"{source}: a timeout is a number of seconds above 0")
    return chosen
