"""The socket that the HTTP door listens at."""

from __future__ import annotations

import socket

UNTAKEN = 60_000  # milliseconds after which the system cuts a connection whose reader takes nothing


def bind(host: str, port: int) -> socket.socket:
    """Listens. Raises OSError for an address that is in use, or not ours."""
    refusal = OSError(f"cannot listen on {host}:{port}: in use, or not an address of this machine")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)  # by the protocol, asyncio knows that it is TCP: no delays
    except OSError:
        raise refusal from None
    try:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # Windows, where REUSEADDR would let two servers have one port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNTAKEN)  # connections inherit it
        listener.bind(address)
        listener.listen(128)
    except OSError:
        listener.close()
        raise refusal from None
    return listener
