"""The HTTP door as part of the process: it opens with --http, needs its extra, and leaves in order."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import threading
from typing import Any

import httpx
import pytest
from safelight_server import doors
from safelight_server.__main__ import parser
from safelight_server.commands.serve import config_from
from safelight_server.config import Config
from safelight_server.desk import Desk
from safelight_server.errors import LoadError
from safelight_server.http import listener
from safelight_server.http.door import Door, all_routes
from safelight_server.http.metrics import Metrics
from safelight_server.http.probes import Probes
from safelight_server.observer import SILENT
from safelight_server.rpc.listening import Address
from starlette.applications import Starlette
from support.command_line import run
from support.http_server import HttpServer, events
from support.servers import refused_start


@pytest.mark.parametrize(
    ("told", "target"), [(":8000", "127.0.0.1:8000"), ("0.0.0.0", "0.0.0.0:7860"), ("[::1]:9", "[::1]:9")]
)
def test_the_address(told: str, target: str) -> None:
    config = config_from(parser().parse_args(["serve", "--http", told]))
    assert config.http == Address(target)


def test_there_is_no_door_without_the_option() -> None:
    assert config_from(parser().parse_args(["serve"])).http is None
    assert "must be HOST:PORT" in run("serve", "--http", "unix:/tmp/x").err


@pytest.mark.parametrize("missing", ["starlette", "uvicorn", "python_multipart", "prometheus_client"])
def test_a_missing_extra_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    for name in [name for name in sys.modules if name.startswith("safelight_server.http")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.startswith(f"{missing}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(LoadError, match=r"^--http needs the extra \[http\]: .* -m pip install "):
        doors.http(Desk(), Config({}, http=Address("127.0.0.1:0")), None, None, SILENT)


def test_an_address_in_use_is_refused(http_server: HttpServer) -> None:
    port = int(http_server.url.rpartition(":")[2])
    with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}: in use"):
        listener.bind("127.0.0.1", port)


@pytest.mark.parametrize("option", ["--http", "--metrics"])
def test_an_address_in_use_is_told_in_one_line(http_server: HttpServer, option: str) -> None:
    port = int(http_server.url.rpartition(":")[2])
    *before, said = refused_start("--listen", "127.0.0.1:0", "--ephemeral", option, port).splitlines()
    assert said == f"safelight-server: cannot listen on 127.0.0.1:{port}: in use, or not an address of this machine"
    assert all(" info " in line for line in before)


def test_answers_are_not_held_back() -> None:
    """Where asyncio does not know that a socket is TCP, Nagle's algorithm costs 40 ms an answer."""
    with listener.bind("127.0.0.1", 0) as opened:
        assert opened.proto == socket.IPPROTO_TCP


def test_while_the_models_load_each_door_says_so() -> None:
    import anyio

    async def test() -> list[httpx.Response]:
        opened = Door(all_routes(Desk(), Metrics(Desk())), "127.0.0.1", 0)
        url = await opened.open()
        async with httpx.AsyncClient(base_url=url) as client:
            asked = [await client.get(path) for path in ("/api/models", "/v1/models", "/sdapi/v1/options", "/")]
        await opened.close(1)
        return asked

    *doors, page = anyio.run(test)
    assert [answer.status_code for answer in doors] == [503, 503, 503]
    assert [answer.headers["retry-after"] for answer in doors] == ["2", "2", "2"]
    assert page.status_code == 200


def test_a_stream_is_told_that_the_server_leaves() -> None:
    with HttpServer("--grace=0") as server, server.client() as client:
        body: dict[str, Any] = {"generate": {"prompt": "an apple", "steps": 50, "width": 1024, "height": 1024}}
        job_id = client.post("/api/jobs", json=body).json()["id"]
        with client.stream("GET", f"/api/jobs/{job_id}/events") as response:
            told = events(response.iter_lines())
            assert next(told).name in ("queued", "started")
            threading.Timer(0.1, server.process.send_signal, [signal.SIGTERM]).start()
            *_, last = told
        assert (last.name, last.data["error"]["reason"]) == ("failed", "SHUTTING_DOWN")
        assert server.process.wait(30) == 0
        assert "Traceback" not in server.log()


def test_the_process_lives_before_it_takes_jobs() -> None:
    async def test() -> list[int]:
        door = httpx.ASGITransport(Starlette(routes=Probes(Desk()).routes()))
        async with httpx.AsyncClient(transport=door, base_url="http://localhost") as http:
            return [(await http.get(path)).status_code for path in ("/healthz", "/readyz")]

    assert asyncio.run(test()) == [200, 503]
