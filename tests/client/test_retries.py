"""The client's retries against a server that is down: how many requests it gets, and what becomes of the calls."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import safelight
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from safelight import Client, resuming, retries
from safelight import client as sync_client
from safelight.channel import OPTIONS
from safelight.retries import Budget
from support import fake_server as fake
from support.clients import Connect
from support.clients import quick_retries as quick_retries
from support.fake_server import FOREVER, failing, refuse, serve, serve_at

ALLOWANCE = 2  # requests beyond the calls that a process may spend on an outage


class Outage:
    """A handler that refuses everything while it is `down`, and then draws."""

    def __init__(self) -> None:
        self.down = True

    def __call__(self, request: Any, context: grpc.ServicerContext) -> Any:
        if self.down:
            refuse(context, grpc.StatusCode.UNAVAILABLE, "down")
        return fake.generated(request, context)


def tried(call: Callable[[], object]) -> str:
    try:
        call()
    except safelight.SafelightError as error:
        return type(error).__name__
    return "drawn"


@pytest.mark.parametrize("clients", ["one", "one a call"])
def test_an_outage_brings_no_more_requests_than_calls(connect: Connect, clients: str) -> None:
    outage, calls = Outage(), 40
    with serve(generate=outage) as server:
        one = connect(server.address)

        def call(_: int) -> str:
            if clients == "one":
                return tried(lambda: one.generate("p"))
            with Client(server.address) as fresh:
                return tried(lambda: fresh.generate("p"))

        # The asynchronous form speaks from one thread.
        threads = 8 if isinstance(one, Client) or clients != "one" else 1
        with ThreadPoolExecutor(threads) as pool:
            assert Counter(pool.map(call, range(calls))) == {"Unavailable": calls}
            assert len(server.requests) <= 1.1 * calls, "and the allowance is within that"
            assert len(server.requests) <= calls + ALLOWANCE
            outage.down = False
            before = len(server.requests)
            assert Counter(pool.map(call, range(calls))) == {"drawn": calls}
            assert len(server.requests) == before + calls
        server.requests.clear()
        outage.down = True
        tried(lambda: one.generate("p"))
        assert len(server.requests) == 2, "40 calls that succeeded have earned one try more"


def test_servers_have_budgets_of_their_own(connect: Connect) -> None:
    with serve(generate=Outage()) as down, serve(generate=failing(1, fake.generated)) as other:
        for _ in range(10):
            tried(lambda: connect(down.address).generate("p"))
        assert connect(other.address).generate("p").pictures


def test_a_budget_gives_and_takes() -> None:
    budget = Budget()
    assert [budget.fail() for _ in range(8)] == [True, True, *[False] * 6]
    for _ in range(39):
        budget.succeed()
    assert not budget.fail()
    for _ in range(12):
        budget.succeed()
    assert budget.fail()
    for _ in range(1000):
        budget.succeed()
    assert [budget.fail() for _ in range(3)] == [True, True, False], "it does not grow over its most"


def test_waits_are_drawn_by_lot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "_budgets", {})
    waits: dict[int, list[float]] = {1: [], 2: []}
    for address in range(200):
        tries = retries.Tries(str(address), timeout=None)
        for number in waits:
            wait = tries.wait_after(_Refused())
            assert wait is not None
            waits[number].append(wait)
        assert tries.wait_after(_Refused()) is None
    for number, most in ((1, 1.0), (2, 3.0)):
        assert 0 <= min(waits[number]) < 0.1 * most
        assert 0.9 * most < max(waits[number]) <= most


class _Refused(grpc.RpcError):
    """As gRPC raises them."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def trailing_metadata(self) -> tuple[()]:
        return ()


@pytest.mark.usefixtures("quick_retries")
def test_the_servers_wish_is_kept(connect: Connect) -> None:
    times: list[float] = []

    def handler(request: Any, context: grpc.ServicerContext) -> Any:
        times.append(time.monotonic())
        if len(times) == 1:
            refuse(context, grpc.StatusCode.UNAVAILABLE, "loading", RetryInfo(retry_delay=Duration(nanos=400_000_000)))
        return fake.generated(request, context)

    with serve(generate=handler) as server:
        connect(server.address).generate("p")
    assert len(times) == 2
    assert times[1] - times[0] >= 0.4


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize(
    ("pushback", "requests", "told"), [("-1", 1, None), ("no", 1, None), ("20000", 1, 20.0), ("5", 3, 0.005)]
)
def test_pushback_is_kept(connect: Connect, pushback: str, requests: int, told: float | None) -> None:
    """As gRFC A6 has it; but a call does not sleep for longer than ten seconds: it tells its caller to."""

    def handler(request: Any, context: grpc.ServicerContext) -> Any:
        context.set_trailing_metadata((("grpc-retry-pushback-ms", pushback),))
        context.abort(grpc.StatusCode.UNAVAILABLE, "not now")

    with serve(generate=handler) as server:
        with pytest.raises(safelight.Unavailable) as caught:
            connect(server.address).generate("p")
        assert len(server.requests) == requests
    assert told is None or caught.value.retry_after == told


def test_no_try_begins_after_the_timeout(connect: Connect) -> None:
    long = RetryInfo(retry_delay=Duration(seconds=5))
    loading = ErrorInfo(reason="LOADING")
    handler: Any = lambda _, context: refuse(context, grpc.StatusCode.UNAVAILABLE, "loading", loading, long)  # noqa: E731
    with serve(generate=handler) as server:
        began = time.monotonic()
        with pytest.raises(safelight.Unavailable) as caught:
            connect(server.address).generate("p", timeout=3)
        assert time.monotonic() - began < 2
    assert (caught.value.reason, caught.value.retry_after) == ("LOADING", 5.0)


def test_closing_a_client_ends_the_wait() -> None:
    handler: Any = lambda _, context: refuse(  # noqa: E731
        context, grpc.StatusCode.UNAVAILABLE, "loading", RetryInfo(retry_delay=Duration(seconds=9))
    )
    with serve(generate=handler) as server, ThreadPoolExecutor(1) as pool:
        client = Client(server.address)
        call = pool.submit(client.generate, "p")
        assert server.gone.wait(FOREVER)
        client.close()
        with pytest.raises(safelight.Cancelled):
            call.result(5)


def test_a_server_that_comes_back_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second look comes as soon as max_reconnect_backoff_ms says; by itself gRPC would take 1.6 times the first."""
    quick = {"grpc.max_reconnect_backoff_ms": 100}
    options = [(name, quick.get(name, value)) for name, value in OPTIONS]
    monkeypatch.setattr(sync_client, "OPTIONS", [*options, ("grpc.initial_reconnect_backoff_ms", 2_000)])
    with serve() as server:
        address = server.address
    with Client(address) as client:
        began = time.monotonic()
        assert tried(client.health) == "Unavailable"
        time.sleep(2.6)
        with serve_at(address):
            while tried(client.models) != "drawn":
                assert time.monotonic() - began < 4.8, "that is gRPC's own second look"
                time.sleep(0.05)


KILLED = """
import os, sys, threading
sys.path.insert(0, sys.argv[1])
from support import fake_server as fake
def die(request, context):
    os._exit(9)
with fake.serve(generate=die, stream=die) as server:
    print(server.address, flush=True)
    threading.Event().wait(60)
"""


@pytest.mark.parametrize("call", ["generate", "stream"])
def test_a_server_that_was_killed_has_a_reason_and_a_delay(
    connect: Connect, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resuming, "RESUME_FOR", 0.5)
    tests = str(Path(__file__).parents[1])
    with subprocess.Popen([sys.executable, "-c", KILLED, tests], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        client = connect(process.stdout.readline().strip())
        with pytest.raises(safelight.Unavailable) as caught:
            client.generate("p") if call == "generate" else client.stream("p").final()
    assert caught.value.reason == "UNREACHABLE"
    assert caught.value.retry_after is not None
    assert 1 <= caught.value.retry_after <= 3
