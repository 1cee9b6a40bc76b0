"""Whether a start is safe: what everybody can reach needs TLS and tokens, or a word that this is meant."""

from __future__ import annotations

import ipaddress

from safelight_server.errors import LoadError

HOW = """\
{option} {address}: this address is open to others, and {lacking}.
Give {options}. To make what is not there yet:
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 \\
    -subj "/CN=$(hostname)" -addext "subjectAltName=DNS:$(hostname)" -keyout key.pem -out cert.pem
  safelight-server token me --tokens tokens.txt
Or say --insecure: then whoever reaches this address draws here, and reads along."""

# What it is like without, and what to give.
TLS = "nothing is encrypted", "--tls-cert cert.pem --tls-key key.pem"
TOKENS = "anybody may call", "--tokens tokens.txt"


def check(option: str, target: str, *, tls: bool, tokens: bool) -> None:
    """Raises LoadError for an address that others can reach, unless there are both."""
    if (tls and tokens) or is_private(target):
        return
    missing = [ask for there, ask in ((tls, TLS), (tokens, TOKENS)) if not there]
    lacking, options = zip(*missing, strict=True)
    raise LoadError(HOW.format(option=option, address=target, lacking=" and ".join(lacking), options=" ".join(options)))


def is_private(target: str) -> bool:
    """Whether only this machine can reach it: a loopback address, or a unix socket, which is its owner's alone."""
    if target.startswith("unix:"):
        return True
    host = target.rpartition(":")[0].strip("[]").lower()
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"
