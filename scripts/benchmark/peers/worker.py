"""The peer's process: loads each pipeline when it is first needed, and times what it does."""

from __future__ import annotations

import importlib
import os
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.environment import QUIET
from benchmark.request import Request

from .kinds import KINDS


class Caller(NamedTuple):
    """One of several callers at once, who asks for one picture after the other."""

    requests: Sequence[Request]
    start: float  # seconds after the first caller
    copy: int  # the pipeline that is used


_peer = ""
_folders: Mapping[str, Path] = {}
_settings: dict[str, str] = {}
_pipelines: dict[tuple[str, int], Any] = {}
_turns: dict[tuple[str, int] | None, threading.Lock] = defaultdict(threading.Lock)  # of each pipeline, and of all


def settings(peer: str, precision: str) -> dict[str, str]:
    """The settings of a peer's pipeline: its kind's own, or those that our server gives to OpenVINO."""
    return dict(KINDS[peer].settings) or {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}


def serve(pipe: Connection, peer: str, folders: Mapping[str, Path], precision: str, log: Path) -> None:
    """Answers calls until the pipe is closed. What is printed goes to `log`."""
    global _peer, _folders, _settings
    _peer, _folders, _settings = peer, folders, settings(peer, precision)
    os.environ |= QUIET
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    with suppress(EOFError):
        while True:
            function, arguments, options = pipe.recv()
            try:
                pipe.send((function(*arguments, **options), None))
            except Exception as error:
                pipe.send((None, error))


def pipeline(model: str, copy: int = 0) -> Any:
    """The pipeline of a model, loaded if it is not yet. `copy` numbers several of one model."""
    if (model, copy) not in _pipelines:
        module = importlib.import_module(f"{__package__}.{KINDS[_peer].module}")
        _pipelines[model, copy] = module.Pipeline(_folders[model], _settings)
    return _pipelines[model, copy]


def pictures(requests: Sequence[Request]) -> list[Any]:
    """The pictures, each uint8 (edge, edge, 3)."""
    return [pipeline(one.model).draw(one).copy() for one in requests]


def draw(request: Request) -> float:
    """Seconds to a picture in memory; no file is made of it."""
    pipe, began = pipeline(request.model), time.perf_counter()
    pipe.draw(request)
    return time.perf_counter() - began


def first_preview(request: Request) -> float:
    """Seconds to the picture that the VAE makes of the latents after the first step."""
    pipe, began = pipeline(request.model), time.perf_counter()
    shown: list[float] = []

    def show(latents: Any) -> bool:
        pipe.decode(latents)
        shown.append(time.perf_counter() - began)
        return True

    pipe.draw(request, show)
    return shown[0]


def stop(request: Request, step: float, phase: float) -> float:
    """Seconds from the wish to stop, `phase` of a step after the first step, until the pipeline is free."""
    wished: list[float] = []

    def wish() -> None:
        wished.append(time.perf_counter())

    timers: list[threading.Timer] = []

    def on_step(latents: Any) -> bool:
        if not timers:
            timers.append(threading.Timer(phase * step, wish))
            timers[0].start()
        return bool(wished)

    pipeline(request.model).draw(request, on_step)
    if not wished:
        raise RuntimeError(f"drew to its end within {phase:.2f} of a step of {step:.3f} s after the first")
    return time.perf_counter() - wished[0]


def together(callers: Sequence[Caller], locked: bool) -> list[float]:
    """When each caller had all its pictures, in seconds after the first caller began.

    `locked`: one picture at a time in all. Else one at a time of each pipeline: neither peer takes calls from several
    threads.
    """
    for requests, _, copy in callers:
        for one in requests:
            pipeline(one.model, copy)
    began = time.perf_counter()

    def call(caller: Caller) -> float:
        time.sleep(max(0.0, began + caller.start - time.perf_counter()))
        for one in caller.requests:
            with _turns[None if locked else (one.model, caller.copy)]:
                pipeline(one.model, caller.copy).draw(one)
        return time.perf_counter() - began

    with ThreadPoolExecutor(len(callers)) as pool:
        return list(pool.map(call, callers))


def batches(calls: Sequence[Sequence[Request]]) -> float:
    """Seconds for calls of several prompts each, one after the other; openvino-genai has no such call."""
    pipe, began = pipeline(calls[0][0].model), time.perf_counter()
    for requests in calls:
        pipe.batch(requests)
    return time.perf_counter() - began
