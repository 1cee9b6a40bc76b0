"""The process itself: versions, the extras that its options need, open files."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from safelight_server import __version__
from safelight_server.config import Config
from safelight_server.doors import check_extras
from safelight_server.models import surroundings
from safelight_server.rpc import peer_limits

from .finding import Finding, ok, refusal, warning

FEW = 256  # connections


def versions(config: Config) -> Iterator[Finding]:
    system = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    yield ok("safelight-server", f"{__version__}, OpenVINO {surroundings.runtime()}, {system}")


def extras(config: Config) -> Iterator[Finding]:
    if config.http is None and config.metrics is None and not config.traces:
        return
    with refusal("extras") as refused:
        check_extras(config)
        yield ok("extras", "those that the options need are installed")
    if refused.finding:
        yield refused.finding


def open_files(config: Config) -> Iterator[Finding]:
    count = peer_limits.most_connections()
    text = f"{count} connections at a time"
    if count < FEW:
        yield warning("open files", f"{text}: raise the limit (ulimit -n, or LimitNOFILE= of systemd)")
    else:
        yield ok("open files", text)
