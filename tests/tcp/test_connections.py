"""Connections that are opened and left: they end by themselves, there is a bound to them, and the rest is served."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from safelight_server.rpc import peer_limits

FILES = peer_limits.SPARE_FILES + 24
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))

# A gRPC server with our own limits and the health service: its patience is cut, for a test cannot wait for minutes.
SERVER = """
import asyncio, grpc
from safelight_server.rpc import peer_limits
from safelight_server.rpc.health import Health

async def main():
    short = {"grpc.server_handshake_timeout_ms": 1500, "grpc.max_connection_idle_ms": 3000}
    server = grpc.aio.server(options=[(name, short.get(name, value)) for name, value in peer_limits.options()])
    health = Health()
    health.set({"": True})
    server.add_generic_rpc_handlers((health.handlers(),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()

asyncio.run(main())
"""
CHECK = """
import sys, grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
with grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}") as channel:
    stub = health_pb2_grpc.HealthStub(channel)
    print(stub.Check(health_pb2.HealthCheckRequest(), timeout=20, wait_for_ready=True).status)
"""


@pytest.fixture
def port() -> Iterator[int]:
    def few_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))

    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=few_files) as process:
        assert process.stdout
        yield int(process.stdout.readline())
        process.kill()


def opened(port: int, count: int, sent: bytes, stack: ExitStack) -> list[socket.socket]:
    """So many connections, or fewer, where the server lets no more in; each has sent some bytes."""
    connections = []
    for _ in range(count):
        connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
        connection.sendall(sent)
        connections.append(connection)
    return connections


def ended(connections: list[socket.socket], patience: float) -> bool:
    """Whether the server ends all of them."""
    deadline = time.monotonic() + patience
    for connection in connections:
        connection.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            while connection.recv(65536):
                pass
        except TimeoutError:
            return False
        except OSError:
            continue
    return True


def check(port: int) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", CHECK, str(port)], capture_output=True, text=True, timeout=60, check=True
    )
    return ended.stdout.strip()


@pytest.mark.parametrize("sent", [b"", PREFACE[:9], PREFACE], ids=["nothing", "half a preface", "no call"])
def test_a_connection_on_which_nothing_happens_is_ended(sent: bytes, port: int) -> None:
    with ExitStack() as stack:
        assert ended(opened(port, 5, sent, stack), patience=20)


def test_more_connections_than_files_take_the_service_from_nobody_for_long(port: int) -> None:
    with ExitStack() as stack:
        opened(port, 3 * FILES, PREFACE, stack)
        assert check(port) == "1", "it still serves, or does again once the idle ones are ended"
