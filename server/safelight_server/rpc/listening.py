"""Where to listen: a host, a port, both, or a unix socket, as people write them."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc

from safelight_server.access.tls import Material, Tls

HOST, PORT = "127.0.0.1", 50051
LONGEST_SOCKET = 107 if sys.platform == "linux" else 103  # bytes of a unix socket's path


class Address(NamedTuple):
    """What gRPC is to bind, and how a port of 0 is told once it is known."""

    target: str

    def named(self, port: int) -> str:
        """As a client is to call it."""
        return self.target if self.target.startswith("unix:") else f"{self.target.rpartition(':')[0]}:{port}"


DEFAULT = Address(f"{HOST}:{PORT}")


def parse(text: str, default: int = PORT) -> Address:
    """HOST, PORT, :PORT, HOST:PORT, [IPv6]:PORT, IPv6 or unix:PATH. Raises ValueError, which names the rule.

    `default` is the port where none is told.
    """
    if text.startswith("unix:"):
        return Address(_socket(text))
    if text.isdecimal():
        return Address(f"{HOST}:{_port(text)}")
    bare = text.strip("[]")
    if re.fullmatch(r"[0-9a-fA-F.]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.%\w]*", bare) and "]:" not in text:
        return Address(f"[{bare}]:{default}")
    host, colon, port = text.rpartition(":")
    if not colon:
        host, port = text, str(default)
    if re.search(r"[\s/]", host):
        raise ValueError(f"must be HOST, PORT, :PORT, HOST:PORT or unix:PATH, not {text!r}")
    # A port alone means this machine alone: nobody is to be let in from elsewhere by what was left out.
    return Address(f"{host or HOST}:{_port(port)}")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise ValueError(f"must have a port from 0 to 65535, not {text!r}")
    return int(text)


def _socket(text: str) -> str:
    path = text.removeprefix("unix:").removeprefix("//")
    if not hasattr(socket, "AF_UNIX"):
        raise ValueError(f"must be HOST:PORT: this system has no unix sockets for Python, so not {text!r}")
    if not path:
        raise ValueError("must be unix:PATH, with the path of a socket")
    if len(str(Path(path).absolute()).encode()) > LONGEST_SOCKET:
        raise ValueError(f"must have a path of at most {LONGEST_SOCKET} bytes, not {path!r}")
    return f"unix:{Path(path).absolute()}"


def bind(server: grpc.aio.Server, address: Address, tls: Tls | None = None) -> str:
    """Binds it; the address as a client is to call it. Raises OSError for one that is in use, or is not ours."""
    refusal = OSError(f"cannot listen on {address.target}: in use, or not an address of this machine")
    if address.target.startswith("unix:") and answers(address.target.removeprefix("unix:")):
        raise refusal  # gRPC would take the socket's file away from the server that listens there
    try:
        with _owner_alone():
            port: Any = (
                server.add_secure_port(address.target, credentials(tls))
                if tls and not address.target.startswith("unix:")
                else server.add_insecure_port(address.target)
            )
    except RuntimeError:
        raise refusal from None
    if not port:
        raise refusal
    return address.named(port)


def credentials(tls: Tls) -> grpc.ServerCredentials:
    """Each connection has the certificate that the files hold at its beginning."""
    given = tls.now()

    def changed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal given
        now = tls.now()
        if now is given:
            return None
        given = now
        return _configuration(now)

    told: Any = changed  # None, where nothing changed, is what gRPC's types forget
    return grpc.dynamic_ssl_server_credentials(_configuration(given), told, tls.asks_for_certificate)


def _configuration(material: Material) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(material.key, material.cert)], material.client_ca)


@contextmanager
def _owner_alone() -> Iterator[None]:
    """A unix socket that is made here is its owner's alone, from its first moment on."""
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)


def answers(path: str) -> bool:
    """Whether somebody listens at a unix socket. A file that a killed server left does not answer."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0
