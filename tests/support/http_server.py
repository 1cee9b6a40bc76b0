"""A server with its HTTP door open, and a client of it that finds what it asks for below the door's address."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
from safelight_server import demo

from support.servers import ServerProcess

SMALL = f"--model=demo-vega={demo.FOLDERS['demo-vega']}"
OPTIONS = ("--http=127.0.0.1:0", "--precision=f32", "--ephemeral")


class Event(NamedTuple):
    """A server-sent event."""

    name: str
    id: str
    data: Any


class HttpServer(ServerProcess):
    """With the smallest demo model, if no other is given."""

    def __init__(self, *options: str) -> None:
        models = () if any(option.startswith("--model") for option in options) else (SMALL,)
        super().__init__(*OPTIONS, *models, *options)
        found = re.search(r"addresses are at (https?://\S+)", self.log())
        assert found, self.log()
        self.url = found[1]

    def __enter__(self) -> HttpServer:
        return self

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, **options)


def events(lines: Iterator[str]) -> Iterator[Event]:
    """The events in the lines of a response."""
    told: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            told[name] = value
            continue
        if told:
            yield Event(told["event"], told.get("id", ""), json.loads(told["data"]))
        told = {}


def stream(client: httpx.Client, method: str, path: str, **options: Any) -> list[Event]:
    """All events of a stream."""
    with client.stream(method, path, **options) as response:
        assert response.status_code == 200, response.read()
        return list(events(response.iter_lines()))
