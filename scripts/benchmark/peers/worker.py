"""The peer's side: loads pipelines when they are first asked for, and takes the time of what they do."""

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

from benchmark.asked import Asked
from benchmark.environment import QUIET


class Caller(NamedTuple):
    """One of several at once, who asks for one picture after the other; `start` in seconds after the first caller."""

    asked: Sequence[Asked]
    start: float
    copy: int  # the pipeline that is used


_kind = ""
_folders: Mapping[str, Path] = {}
_settings: dict[str, str] = {}
_pipelines: dict[tuple[str, int], Any] = {}
_turns: dict[tuple[str, int] | None, threading.Lock] = defaultdict(threading.Lock)  # of each pipeline, and of all


def settings(precision: str) -> dict[str, str]:
    """What the peers are told beside the folder: the same as our server tells OpenVINO."""
    return {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}


def serve(pipe: Connection, kind: str, folders: Mapping[str, Path], precision: str, log: Path) -> None:
    """Answers calls until the pipe is closed. What is printed goes to `log`."""
    global _kind, _folders, _settings
    _kind, _folders, _settings = kind, folders, settings(precision)
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
    """Loads it first where it is not."""
    if (model, copy) not in _pipelines:
        module = importlib.import_module(f"{__package__}.{_kind}")
        _pipelines[model, copy] = module.Pipeline(_folders[model], _settings)
    return _pipelines[model, copy]


def pictures(asked: Sequence[Asked]) -> list[Any]:
    return [pipeline(one.model).draw(one).copy() for one in asked]


def draw(asked: Asked) -> float:
    """Seconds to a picture in memory; no file is made of it."""
    pipe, began = pipeline(asked.model), time.perf_counter()
    pipe.draw(asked)
    return time.perf_counter() - began


def first_preview(asked: Asked) -> float:
    """Seconds to the picture that the VAE makes of the latents after the first step."""
    pipe, began = pipeline(asked.model), time.perf_counter()
    shown: list[float] = []

    def show(latents: Any) -> bool:
        pipe.decode(latents)
        shown.append(time.perf_counter() - began)
        return True

    pipe.draw(asked, show)
    return shown[0]


def stop(asked: Asked, step: float, phase: float) -> float:
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

    pipeline(asked.model).draw(asked, on_step)
    if not wished:
        raise RuntimeError(f"drew to its end within {phase:.2f} of a step of {step:.3f} s after the first")
    return time.perf_counter() - wished[0]


def together(callers: Sequence[Caller], locked: bool) -> list[float]:
    """When each caller had all pictures, in seconds after the first one came; `locked`: one picture at a time.

    Else one at a time of each copy: neither peer takes calls from several threads.
    """
    for asked, _, copy in callers:
        for one in asked:
            pipeline(one.model, copy)
    began = time.perf_counter()

    def call(caller: Caller) -> float:
        time.sleep(max(0.0, began + caller.start - time.perf_counter()))
        for one in caller.asked:
            with _turns[None if locked else (one.model, caller.copy)]:
                pipeline(one.model, caller.copy).draw(one)
        return time.perf_counter() - began

    with ThreadPoolExecutor(len(callers)) as pool:
        return list(pool.map(call, callers))


def batches(calls: Sequence[Sequence[Asked]]) -> float:
    """Seconds for calls of several prompts each, one after the other; openvino-genai has no such call."""
    pipe, began = pipeline(calls[0][0].model), time.perf_counter()
    for asked in calls:
        pipe.batch(asked)
    return time.perf_counter() - began
