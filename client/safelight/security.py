"""How a connection is kept from others: TLS, and the token that says who is calling."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import grpc

from .addresses import is_loopback

File = str | os.PathLike[str]
Cert = File | tuple[File, File]  # one PEM file with both, or the certificate and its key


class Security(NamedTuple):
    """What a channel and its calls are given. It is never shown: `authorization` holds the token."""

    credentials: grpc.ChannelCredentials | None
    authorization: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        return f"Security(tls={self.credentials is not None}, token={bool(self.authorization)})"


def security_of(
    target: str,
    https: bool,
    credentials: grpc.ChannelCredentials | None,
    token: str | None,
    ca: File | None,
    cert: Cert | None,
) -> Security:
    """What is said, else $SAFELIGHT_TOKEN and $SAFELIGHT_CA.

    Raises ValueError for a token that others could read on its way or that is none, and for files beside `credentials`;
    OSError for a file that cannot be read.
    """
    if credentials is not None and (ca is not None or cert is not None):
        raise ValueError("credentials are whole: say ca and cert to what makes them")
    if isinstance(cert, tuple) and None in cert:
        raise ValueError("cert must be (certificate, key), or one file with both: a key alone is none")
    if credentials is None and (https or ca is not None or cert is not None):
        credentials = _credentials(ca or os.environ.get("SAFELIGHT_CA") or None, cert)
    token = (os.environ.get("SAFELIGHT_TOKEN", "") if token is None else token).strip()
    if not token:
        return Security(credentials, ())
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise ValueError("a token is of printable ASCII, without spaces")  # it is not shown
    if credentials is None and not is_loopback(target):
        raise ValueError(f"a token goes to this machine, or over TLS: say https://, not {target!r}")
    return Security(credentials, (("authorization", f"Bearer {token}"),))


def _credentials(ca: File | None, cert: Cert | None) -> grpc.ChannelCredentials:
    """Without a `ca`, those count that gRPC comes with."""
    certificate, key = cert if isinstance(cert, tuple) else (cert, cert)
    return grpc.ssl_channel_credentials(_pem("ca", ca), _pem("cert", key), _pem("cert", certificate))


def _pem(name: str, file: File | None) -> bytes | None:
    if file is None:
        return None
    data = Path(file).read_bytes()
    if b"-----BEGIN " not in data:  # gRPC would end the process for some of these
        raise ValueError(f"{name} must be a PEM file, not {os.fspath(file)!r}")
    return data
