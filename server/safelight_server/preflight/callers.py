"""Who may call: addresses that others reach, TLS files as a client sees them, the file of tokens."""

from __future__ import annotations

import os
import ssl
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safelight_server.access import exposure, tls
from safelight_server.access.tokens import Tokens
from safelight_server.config import Config

from .finding import Finding, ok, refusal, warning

SOON = 30  # days before its end in which a certificate is told of
DAY = 86400


def exposed(config: Config) -> Iterator[Finding]:
    for option, address in config.addresses.items():
        subject = f"{option} {address.target}"
        if exposure.is_private(address.target):
            yield ok(subject, "this machine alone can reach it")
        elif config.insecure:
            yield warning(subject, "others can reach it, and --insecure asks for nothing that would keep them out")
        else:
            with refusal(subject) as refused:
                exposure.check(option, address.target, tls=config.tls is not None, tokens=config.tokens is not None)
                yield ok(subject, "others can reach it: by TLS, and with a token")
            if refused.finding:
                yield refused.finding


def certificate(config: Config) -> Iterator[Finding]:
    if config.tls is None:
        return
    subject = f"--tls-cert {config.tls.cert}"
    with refusal(subject) as refused:
        context = tls.Tls(config.tls).now().context
        yield _seen_by_a_client(subject, config.tls, context)
    if refused.finding:
        yield refused.finding
    yield from _readable_by_others("--tls-key", config.tls.key)


def _seen_by_a_client(subject: str, files: tls.Files, context: ssl.SSLContext) -> Finding:
    """Of a handshake in memory, by a client that trusts this certificate. Raises OSError where it does not take it."""
    told = _handshake(context, files.cert)
    names = ", ".join(value for _, value in told.get("subjectAltName", ())) or "no name: clients will refuse it"
    days = (ssl.cert_time_to_seconds(told["notAfter"]) - time.time()) / DAY
    text = f"fits its key, is for {names}, and ends in {days:.0f} days ({told['notAfter']})"
    if days < SOON or not told.get("subjectAltName"):
        return warning(subject, f"{text}; put a new one in its place: the server reads it without a restart")
    return ok(subject, text)


def _handshake(context: ssl.SSLContext, trusted: Path) -> dict[str, Any]:
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.load_verify_locations(trusted)
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # it need not be an authority's
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLCertVerificationError as error:
            raise OSError(f"clients will refuse it: {error.verify_message}") from None
    return dict(client.getpeercert() or {})


def tokens(config: Config) -> Iterator[Finding]:
    if config.tokens is None:
        return
    subject = f"--tokens {config.tokens}"
    with refusal(subject) as refused:
        found = Tokens(config.tokens)
        yield ok(subject, f"{len(found.names())} may call: {', '.join(found.names())}")
    if refused.finding:
        yield refused.finding
    yield from _readable_by_others("--tokens", config.tokens)


def _readable_by_others(option: str, file: Path) -> Iterator[Finding]:
    """Where a system has such rights: on Windows the folder's own count, and none is told here."""
    if os.name != "posix" or not file.exists():
        return
    if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield warning(f"{option} {file}", f"others on this machine may read it: chmod 600 {file}")
