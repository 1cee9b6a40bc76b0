"""TLS of both doors: the files that it is made of, read again when they have changed."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NamedTuple

from safelight_server.errors import LoadError

from .watched import Watched


class Files(NamedTuple):
    """PEM files. `client_ca`: callers must show a certificate that one of these has signed."""

    cert: Path
    key: Path
    client_ca: Path | None = None


class Material(NamedTuple):
    """What the files held when they last fitted each other."""

    cert: bytes
    key: bytes
    client_ca: bytes | None
    context: ssl.SSLContext


class Tls:
    """Its material is that of now."""

    def __init__(self, files: Files) -> None:
        """Raises LoadError for files that cannot be read, or do not fit each other."""
        self.asks_for_certificate = files.client_ca is not None
        self._material = Watched([file for file in files if file is not None], lambda: _read(files))

    def now(self) -> Material:
        return self._material.get()

    def context(self) -> ssl.SSLContext:
        """For a listener that takes one for all of its time: each connection has the files of its own beginning."""
        lasting = self.now().context

        def choose(connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
            connection.context = self.now().context

        lasting.sni_callback = choose  # it is called for those who name no server as well
        return lasting


def _read(files: Files) -> Material:
    cert, key = _bytes("--tls-cert", files.cert), _bytes("--tls-key", files.key)
    client_ca = None if files.client_ca is None else _bytes("--tls-client-ca", files.client_ca)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without this, OpenSSL asks for the passphrase at the terminal, and the server waits for it.
        context.load_cert_chain(files.cert, files.key, password=lambda: _refuse_password(files.key))
    except ssl.SSLError as error:
        raise LoadError(f"--tls-cert {files.cert} and --tls-key {files.key}: {_reason(error)}") from None
    if files.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(files.client_ca)
        except ssl.SSLError as error:
            raise LoadError(f"--tls-client-ca {files.client_ca}: {_reason(error)}") from None
    return Material(cert, key, client_ca, context)


def _bytes(option: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise LoadError(f"{option} {file}: {error.strerror or error}") from None


def _refuse_password(key: Path) -> str:
    raise LoadError(f"--tls-key {key}: must be a key without a passphrase")


def _reason(error: ssl.SSLError) -> str:
    told = {"KEY_VALUES_MISMATCH": "the key is not this certificate's", "NO_START_LINE": "no PEM file"}
    return told.get(error.reason or "", (error.reason or str(error)).replace("_", " ").lower())
