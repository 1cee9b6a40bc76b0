"""Certificates and tokens that change while a server runs: what comes later has the new ones, and nothing is cut."""

from __future__ import annotations

import shutil
import ssl
from pathlib import Path

import httpx
from safelight import Client, SafelightError
from safelight_server.callers import Right
from support.access import Certificates, certificates, new_tokens
from support.http_server import HttpServer


def shown(address: str, files: Certificates) -> str:
    """The certificate that a door shows to who trusts the authority of `files`."""
    host, _, port = address.rpartition(":")
    return ssl.get_server_certificate((host, int(port)), ca_certs=str(files.ca))


def test_both_doors_show_the_new_certificate(tmp_path: Path) -> None:
    old, new = certificates(tmp_path / "old"), certificates(tmp_path / "new")
    cert, key, tokens = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "tokens"
    shutil.copy(old.cert, cert)
    shutil.copy(old.key, key)
    known = new_tokens(tokens, alice=Right.DRAW)
    with HttpServer(f"--tls-cert={cert}", f"--tls-key={key}", f"--tokens={tokens}") as server:
        doors = server.address, server.url.removeprefix("https://")
        url = f"https://{server.address}"
        with Client(url, token=known["alice"], ca=old.ca) as begun:
            begun.models()
            assert [shown(door, old) for door in doors] == [old.cert.read_text(encoding="ascii")] * 2
            shutil.copy(new.cert, cert)  # its key is not there yet: the old pair still counts
            assert [shown(door, old) for door in doors] == [old.cert.read_text(encoding="ascii")] * 2
            shutil.copy(new.key, key)
            assert [shown(door, new) for door in doors] == [new.cert.read_text(encoding="ascii")] * 2
            assert begun.generate("an owl", steps=2).image, "a connection that was there goes on"
        with Client(url, token=known["alice"], ca=new.ca) as later:
            later.models()
            fresh = new_tokens(tokens, alice=Right.DRAW)
            assert refused(later) == "TOKEN_UNKNOWN"
        with Client(url, token=fresh["alice"], ca=new.ca) as last:
            last.models()
        context = ssl.create_default_context(cafile=new.ca)
        headers = {"authorization": f"Bearer {fresh['alice']}"}
        with httpx.Client(base_url=server.url, verify=context, headers=headers) as http:
            assert http.get("/api/models").status_code == 200
        assert not any(token in server.log() for token in (*known.values(), *fresh.values()))


def refused(client: Client) -> str:
    try:
        client.models()
    except SafelightError as error:
        return error.reason
    return ""
