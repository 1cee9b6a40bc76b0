"""One server with its HTTP door open, for all tests of it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from support.http_server import HttpServer


@pytest.fixture(scope="session")
def http_server() -> Iterator[HttpServer]:
    with HttpServer() as server:
        yield server


@pytest.fixture(scope="session")
def http(http_server: HttpServer) -> Iterator[httpx.Client]:
    with http_server.client() as client:
        yield client
