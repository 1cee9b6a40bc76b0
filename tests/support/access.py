"""Servers that not everybody may call: certificates, tokens, and what each kind of caller sends."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import grpc
import trustme
from safelight_server.access import tokens
from safelight_server.callers import Right

from support.servers import ServerProcess


class Certificates(NamedTuple):
    """PEM files of an authority, of a server that it signed, and of a client."""

    ca: Path
    cert: Path
    key: Path
    client: Path
    client_key: Path


def certificates(folder: Path) -> Certificates:
    """New ones, of a new authority."""
    folder.mkdir(exist_ok=True)
    authority = trustme.CA()
    server, client = authority.issue_cert("localhost", "127.0.0.1"), authority.issue_cert("someone@example")
    files = Certificates(*(folder / name for name in ("ca.pem", "cert.pem", "key.pem", "client.pem", "client-key.pem")))
    authority.cert_pem.write_to_path(files.ca)
    server.cert_chain_pems[0].write_to_path(files.cert)
    server.private_key_pem.write_to_path(files.key)
    client.cert_chain_pems[0].write_to_path(files.client)
    client.private_key_pem.write_to_path(files.client_key)
    return files


def new_tokens(file: Path, **rights: Right) -> dict[str, str]:
    """The token of each name, with the file that a server is to know them by."""
    made = {name: tokens.make(name, [right]) for name, right in rights.items()}
    file.write_text("".join(f"{line}\n" for _, line in made.values()), encoding="utf-8")
    return {name: token for name, (token, _) in made.items()}


def channel(
    server: ServerProcess, files: Certificates | None = None, *, shows: Certificates | None = None
) -> grpc.Channel:
    """To a server over TLS if there are `files`, with the client's certificate that `shows` has."""
    if files is None:
        return grpc.insecure_channel(server.address)
    own = (shows.client_key.read_bytes(), shows.client.read_bytes()) if shows else (None, None)
    return grpc.secure_channel(server.address, grpc.ssl_channel_credentials(files.ca.read_bytes(), *own))
