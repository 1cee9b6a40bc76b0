"""Calls that Ctrl-C may come into at any moment: nothing hangs, nothing is lost, and nothing is left running."""

from __future__ import annotations

import gc
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import grpc
import pytest
from safelight import interruptible
from safelight.interruptible import Reading, answer_of
from safelight.v1 import images_pb2 as images
from safelight.v1 import jobs_pb2 as pb
from support import fake_server as fake
from support.fake_jobs import job
from support.fake_server import FOREVER, serve


class FakeCall:
    """Answers that the test puts; cancelling ends them."""

    def __init__(self) -> None:
        self.answers: SimpleQueue[int | BaseException] = SimpleQueue()
        self.cancelled = threading.Event()
        self.read = 0

    def add_done_callback(self, callback: object) -> None:
        assert callable(callback)
        callback(self)

    def __next__(self) -> int:
        self.read += 1
        answer = self.answers.get()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def cancel(self) -> None:
        self.cancelled.set()
        self.answers.put(grpc.RpcError("cancelled"))


def until(true: object) -> None:
    assert callable(true)
    end = time.monotonic() + FOREVER
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_answers_are_read_only_when_they_are_asked_for() -> None:
    call = FakeCall()
    for answer in (1, 2, 3):
        call.answers.put(answer)
    reading = Reading(lambda: call)
    assert next(reading) == 1
    time.sleep(0.05)
    assert call.read == 1, "what nobody reads holds the server up, as it should"
    assert next(reading) == 2
    call.answers.put(StopIteration())
    assert list(reading) == [3]
    assert list(reading) == [], "its end is its end"


def test_an_answer_that_came_into_an_interrupt_is_read_next(monkeypatch: pytest.MonkeyPatch) -> None:
    call = FakeCall()
    reading = Reading(lambda: call)

    def interrupt(answers: object) -> tuple[int, None]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(interruptible, "_next", interrupt)
        with pytest.raises(KeyboardInterrupt):
            next(reading)
    call.answers.put(1)
    call.answers.put(2)
    assert [next(reading), next(reading)] == [1, 2]
    reading.cancel()


def test_what_nobody_holds_any_more_is_cancelled_and_its_thread_ends() -> None:
    call = FakeCall()
    call.answers.put(1)
    reading = Reading(lambda: call)
    next(reading)
    del reading
    gc.collect()
    assert call.cancelled.wait(FOREVER)
    until(lambda: not interruptible._RUNNING)


def test_a_call_that_is_cancelled_before_it_has_begun_is_cancelled_then() -> None:
    call, begin = FakeCall(), threading.Event()

    def slow() -> FakeCall:
        begin.wait(FOREVER)
        return call

    reading = Reading(slow)
    reading.cancel()
    assert not call.cancelled.is_set()
    begin.set()
    assert call.cancelled.wait(FOREVER)
    with pytest.raises(grpc.RpcError):
        next(reading)


def test_a_call_that_cannot_begin_says_why() -> None:
    def refuse() -> object:
        raise ValueError("Cannot invoke RPC on closed channel!")

    with pytest.raises(ValueError, match="closed channel"):
        answer_of(refuse)
    with pytest.raises(ValueError, match="closed channel"):
        next(Reading(refuse))


def interrupted(seed: int, folder: Path) -> tuple[int, str]:
    """How a command ends that is interrupted at some moment, from just before its call on."""
    called = threading.Event()

    def endless(request: pb.AttachRequest, context: grpc.ServicerContext) -> Iterator[pb.AttachResponse]:
        called.set()
        yield pb.AttachResponse(job_id="job", sequence=1, queued=images.Queued())
        fake.sleeping(request, context)

    with serve(attach=endless, get_job=lambda *_: pb.GetJobResponse(job=job(state=pb.JOB_STATE_RUNNING))) as server:
        argv = [sys.executable, "-m", "safelight", "attach", "job", "--address", server.address]
        process = subprocess.Popen(argv, cwd=folder, stderr=subprocess.PIPE, text=True)
        assert called.wait(FOREVER)
        time.sleep(random.Random(seed).uniform(0, 0.005))
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=FOREVER)[1]
        return process.returncode, told


def test_ctrl_c_at_any_moment_ends_the_command(tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        ended = set(pool.map(lambda seed: interrupted(seed, tmp_path), range(24)))
    assert ended == {(130, "safelight: detached; attach again with: safelight attach job\n")}
