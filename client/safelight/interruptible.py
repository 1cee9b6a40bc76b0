"""Calls gRPC so that Ctrl-C can come at any moment.

gRPC begins calls, and waits for them, under locks that are written in Python. An exception that comes in there, as
KeyboardInterrupt does, leaves such a lock taken, or a call half begun, and then the end of the channel waits for ever.
So gRPC is called in threads, to which no interrupt comes; the program's own waits at a queue of the interpreter.
"""

from __future__ import annotations

import atexit
import time
from _thread import start_new_thread  # threading's start() waits under a lock in Python, too
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any

Begin = Callable[[], Any]  # begins a call
Answer = tuple[Any, BaseException | None]

LAST_CALLS = 1.0  # seconds for calls to end before the interpreter does: threads that it stops keep their locks
PULSE = 0.2  # seconds: the system may tell another thread of an interrupt, and then this one is not woken


class Calling:
    """A call that is begun in another thread; it may be cancelled before it is there."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin
        self._call: Any = None
        self._cancelled = False
        self._over = SimpleQueue[None]()

    def begin(self) -> Any:
        self._call, over = self._begin(), self._over
        self._call.add_done_callback(lambda _: over.put(None))
        if self._cancelled:
            self._call.cancel()
        return self._call

    @contextmanager
    def running(self, answers: SimpleQueue[Answer]) -> Iterator[None]:
        """Around all that a thread does with it; what ends that is an answer: StopIteration, or grpc.RpcError."""
        _RUNNING.add(self)
        try:
            yield
        except BaseException as error:
            answers.put((None, error))
        finally:
            if self._call is not None:
                with suppress(Empty):
                    self._over.get(timeout=LAST_CALLS)  # gRPC's own thread has more to do with it after its answer
            _RUNNING.discard(self)

    def cancel(self) -> None:
        self._cancelled = True
        if self._call is not None:
            self._call.cancel()


_RUNNING: set[Calling] = set()


def answer_of(begin: Begin) -> Any:
    """The answer of the future that `begin` makes. Raises what it raises; whoever is interrupted cancels it."""
    calling, answers = Calling(begin), SimpleQueue[Answer]()
    start_new_thread(_answer, (calling, answers))
    try:
        answer, error = _next(answers)
    except BaseException:
        calling.cancel()
        raise
    if error is not None:
        raise error
    return answer


class Reading:
    """The answers of a stream that `begin` makes, for one thread: each is read when it is asked for."""

    def __init__(self, begin: Begin) -> None:
        self._calling, self._wanted, self._answers = Calling(begin), SimpleQueue[bool](), SimpleQueue[Answer]()
        self._asked = False
        self._ended: BaseException | None = None
        # Not with self: what nobody holds any more is ended.
        start_new_thread(_read, (self._calling, self._wanted, self._answers))

    def __iter__(self) -> Reading:
        return self

    def __next__(self) -> Any:
        if self._ended is not None:
            raise self._ended
        if not self._asked:  # else it was asked for, and its reader was interrupted
            self._asked = True
            self._wanted.put(True)
        answer, self._ended = _next(self._answers)
        self._asked = False
        if self._ended is not None:
            raise self._ended
        return answer

    def cancel(self) -> None:
        """Ends the call; reading on raises grpc.RpcError. May be called from any thread."""
        self._calling.cancel()

    def __del__(self) -> None:
        if hasattr(self, "_answers"):  # else it was interrupted as it was made
            self._calling.cancel()
            self._wanted.put(False)


def _next(answers: SimpleQueue[Answer]) -> Answer:
    while True:
        with suppress(Empty):
            return answers.get(timeout=PULSE)


def _answer(calling: Calling, answers: SimpleQueue[Answer]) -> None:
    with calling.running(answers):
        answers.put((calling.begin().result(), None))


def _read(calling: Calling, wanted: SimpleQueue[bool], answers: SimpleQueue[Answer]) -> None:
    with calling.running(answers):
        call = calling.begin()
        while wanted.get():
            answers.put((next(call), None))


@atexit.register
def _end_all() -> None:
    end = time.monotonic() + LAST_CALLS
    for calling in list(_RUNNING):
        calling.cancel()
    while _RUNNING and time.monotonic() < end:
        time.sleep(0.001)
