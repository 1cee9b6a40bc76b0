"""Addresses as people write them, and what a server that listens there says."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import grpc
import pytest
from safelight_server.rpc.listening import bind, parse

GIVEN = {
    "0.0.0.0:1234": "0.0.0.0:1234",
    "1234": "127.0.0.1:1234",
    ":1234": "127.0.0.1:1234",
    "localhost": "localhost:50051",
    "studio.local": "studio.local:50051",
    "[::1]:7": "[::1]:7",
    "::1": "[::1]:50051",
    "[::]": "[::]:50051",
    "unix:/run/safelight": "unix:/run/safelight",
    "unix:///run/safelight": "unix:/run/safelight",
}
REFUSED = {
    "host:port": "port from 0 to 65535, not 'port'",
    "host:65536": "port from 0 to 65535, not '65536'",
    "65536": "not '65536'",
    "http://host:1": "must be HOST, PORT",
    "unix:": "must be unix:PATH",
    "unix:" + "x" * 200: "at most 107 bytes",
}


@pytest.mark.parametrize("text", GIVEN)
def test_what_is_taken(text: str) -> None:
    assert parse(text).target == GIVEN[text]


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=REFUSED[text]):
        parse(text)


@pytest.mark.parametrize("text", ["127.0.0.1:0", ":0", "unix:{folder}/socket"])
def test_a_client_calls_what_the_server_says(text: str, tmp_path: Path) -> None:
    async def test() -> None:
        server = grpc.aio.server()
        address = bind(server, parse(text.format(folder=tmp_path)))
        await server.start()
        async with grpc.aio.insecure_channel(address) as channel:
            await asyncio.wait_for(channel.channel_ready(), 20)
        await server.stop(None)

    asyncio.run(test())


def test_a_socket_that_a_killed_server_left_is_no_hindrance_and_one_in_use_is(tmp_path: Path) -> None:
    async def test() -> None:
        left = socket.socket(socket.AF_UNIX)
        left.bind(str(tmp_path / "s"))
        left.close()  # the file stays
        server, other = grpc.aio.server(), grpc.aio.server()
        bind(server, parse(f"unix:{tmp_path}/s"))
        await server.start()
        with pytest.raises(OSError, match="cannot listen on unix:"):
            bind(other, parse(f"unix:{tmp_path}/s"))
        for one in (server, other):
            await one.stop(None)

    asyncio.run(test())
