"""Where the server is: one address or several, as gRPC wants it; and whether that is this very machine."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Iterable

DEFAULT_ADDRESS = "localhost:50051"

_SCHEME = re.compile(r"(unix|unix-abstract|dns|ipv4|ipv6|passthrough|xds):")
_LOOPBACK = {"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"}


def target(address: str | Iterable[str] | None = None) -> tuple[str, bool]:
    """The gRPC target for "host", "host:port", "[::1]:port", "unix:path" or "http(s)://host:port", or for several; and
    whether it is https.

    Several are a list, or one text with commas. None: $SAFELIGHT_ADDRESS, else localhost:50051. Raises ValueError for
    several of which one is no host, or of which only some are https.
    """
    chosen = address or os.environ.get("SAFELIGHT_ADDRESS") or DEFAULT_ADDRESS
    if isinstance(chosen, str):
        chosen = [chosen] if _SCHEME.match(chosen.strip()) else chosen.split(",")
    texts = [text.strip() for text in chosen if text.strip()]
    each = [_one(text) for text in texts]
    if not each:
        raise ValueError(f"an address is host:port or unix:path, not {address!r}")
    secure = {text.startswith("https://") for text in texts}
    if len(secure) > 1:
        raise ValueError(f"several addresses must all be https, or none of them: {', '.join(texts)}")
    return (each[0] if len(each) == 1 else _several(each)), secure.pop()


def has_several(target: str) -> bool:
    """Whether it names several servers, one by one."""
    return target.startswith(("ipv4:", "ipv6:")) and "," in target


def is_loopback(target: str) -> bool:
    """Whether it is this machine, where no proxy leads."""
    if target.startswith(("unix:", "unix-abstract:")):
        return True
    rest = target.removeprefix(_scheme_of(target)).rsplit("/", 1)[-1]
    return all(_is_this_machine(_host_of(text)) for text in rest.split(","))


def _one(address: str) -> str:
    if address.startswith(("unix:", "unix-abstract:")) and not hasattr(socket, "AF_UNIX"):
        raise ValueError(f"cannot connect to {address!r}: this system has no unix sockets; an address is host:port")
    if _SCHEME.match(address):
        return address
    scheme, found, rest = address.rpartition("://")
    if found and scheme not in ("http", "https"):
        raise ValueError(f"cannot connect to {address!r}: an address is host:port, https://host:port or unix:path")
    return _with_port(rest.rstrip("/"), "443" if scheme == "https" else "50051")


def _several(each: list[str]) -> str:
    """gRPC takes several servers by number only, and all of one kind."""
    found = [_numbers_of(address) for address in each]
    for kind in (socket.AF_INET, socket.AF_INET6):
        if all(kind in numbers for numbers in found):
            return ("ipv4:" if kind == socket.AF_INET else "ipv6:") + ",".join(numbers[kind] for numbers in found)
    raise ValueError(f"several addresses must be of one kind, IPv4 or IPv6: {', '.join(each)}")


def _numbers_of(address: str) -> dict[int, str]:
    """The first address of each kind, with the port."""
    host, port = _host_of(address), address.rpartition(":")[2]
    if _SCHEME.match(address):
        raise ValueError(f"one of several addresses is host:port, not {address!r}")
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except OSError as error:
        raise ValueError(f"cannot find {host!r}, one of several addresses: {error.strerror or error}") from None
    numbers: dict[int, str] = {}
    for kind, _, _, _, place in found:
        numbers.setdefault(kind, f"[{place[0]}]:{port}" if kind == socket.AF_INET6 else f"{place[0]}:{port}")
    return numbers


def _scheme_of(target: str) -> str:
    found = _SCHEME.match(target)
    return found[0] if found else ""


def _host_of(address: str) -> str:
    return address.rsplit(":", 1)[0].strip("[]") if re.search(r"(\]|^[^:]*):\d+$", address) else address.strip("[]")


def _is_this_machine(host: str) -> bool:
    name = host.lower().rstrip(".")
    try:
        number = ipaddress.ip_address(name)
    except ValueError:
        return name in _LOOPBACK or name.endswith(".localhost")
    number = getattr(number, "ipv4_mapped", None) or number
    return number.is_loopback or number.is_unspecified


def _with_port(host: str, usual: str) -> str:
    if host.count(":") > 1 and not host.startswith("["):
        host = f"[{host}]"  # a bare IPv6 address
    name, _, port = host.rpartition(":") if re.search(r":\d+$", host) else (host, "", "")
    return f"{name or 'localhost'}:{port or usual}"
