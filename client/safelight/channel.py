"""Where the server is, and how to speak to it: address, timeout, channel options."""

from __future__ import annotations

import math
import os
import re

DEFAULT_ADDRESS = "localhost:50051"
QUICK = 10.0  # seconds for calls that draw nothing, when no timeout is given
MIB = 1024 * 1024

MAX_RESPONSE = 64 * MIB

# Sent with every call: the server refuses a larger answer before it draws it, which gRPC would refuse here after that.
METADATA = (("safelight-max-response-bytes", str(MAX_RESPONSE)),)

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

_SCHEME = re.compile(r"(unix|unix-abstract|dns|ipv4|ipv6|passthrough|xds):")


def target(address: str | None) -> str:
    """The gRPC target for "host", "host:port", "[::1]:port", "unix:path" or "http://host:port".

    None: $SAFELIGHT_ADDRESS, else localhost:50051. Raises ValueError for https, which is not spoken yet.
    """
    address = (address or os.environ.get("SAFELIGHT_ADDRESS") or DEFAULT_ADDRESS).strip()
    if _SCHEME.match(address):
        return address
    scheme, found, rest = address.rpartition("://")
    if found and scheme != "http":
        raise ValueError(f"cannot connect to {address!r}: only plain text is spoken yet, as in {DEFAULT_ADDRESS!r}")
    return _with_port(rest.rstrip("/"))


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


def _with_port(host: str) -> str:
    if host.count(":") > 1 and not host.startswith("["):
        host = f"[{host}]"  # a bare IPv6 address
    name, _, port = host.rpartition(":") if re.search(r":\d+$", host) else (host, "", "")
    return f"{name or 'localhost'}:{port or '50051'}"
