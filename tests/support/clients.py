"""Both forms of the client behind one interface, so that one test drives both; and retries without their waits."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, cast

import pytest
from safelight import AsyncClient, AsyncJob, AsyncStream, Client, retries

Connect = Callable[..., Client]


class Blocking:
    """AsyncClient and what it gives in the manner of Client, Stream and Job, so that one test drives both."""

    def __init__(self, inner: Any, runner: asyncio.Runner) -> None:
        self._inner, self._runner = inner, runner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return (lambda *given, **named: self._run(found, *given, **named)) if callable(found) else found

    def _run(self, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
        async def call() -> Any:
            value = function(*given, **named)
            return await value if inspect.isawaitable(value) else value

        value = self._runner.run(call())
        wrapped = isinstance(value, (AsyncStream, AsyncJob)) or hasattr(value, "__anext__")
        return Blocking(value, self._runner) if wrapped else value

    def __iter__(self) -> Blocking:
        return self

    def __next__(self) -> Any:
        try:
            return self._run(self._inner.__anext__)
        except StopAsyncIteration:
            raise StopIteration from None

    def __enter__(self) -> Blocking:
        self._run(self._inner.__aenter__)
        return self

    def __exit__(self, *error: Any) -> None:
        self._run(self._inner.__aexit__, *error)


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Connects a client of one of both forms; it is closed at the end."""
    with ExitStack() as stack:
        if request.param == "sync":
            yield lambda *given, **named: stack.enter_context(Client(*given, **named))
            return
        runner = stack.enter_context(asyncio.Runner())

        def connect(*given: Any, **named: Any) -> Client:
            return cast(Client, stack.enter_context(Blocking(AsyncClient(*given, **named), runner)))

        yield connect


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's retries as they are, but at most 10 ms apart, and with what a new process may spend on them."""
    monkeypatch.setattr(retries, "LONGEST_WAIT", 0.01)
    monkeypatch.setattr(retries, "_budgets", {})
