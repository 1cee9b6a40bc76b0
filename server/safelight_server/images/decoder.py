"""Where a picture is unpacked: a cheap one here, in the caller's thread; a dear one in a process that can be ended.

The process is started for that one picture: it costs 0.12 s of a core and 17 MB, takes its memory with it, and has no
state that a hostile file could spoil. It is a program of its own, for a fork would copy gRPC's threads' locks.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np

from safelight_server.arrays import Hw, Pixels
from safelight_server.errors import PicturesWaiting

from .budget import is_cheap
from .header import BadPicture, Header, broken
from .turns import PULSE, Turns, stop_if_given_up
from .unpack import unpack

AT_ONCE = 2
MOST_WAITING = 40
PATIENCE = 20.0  # seconds
LONGEST = 30.0  # seconds that one may take, whoever else works; its own work is bounded by unpack.SECONDS
CHEAP, DEAR = (Turns(AT_ONCE, MOST_WAITING, PATIENCE) for _ in range(2))
MOST_THREADS = 2 * (AT_ONCE + MOST_WAITING)  # that pictures can hold at a time
TOO_LONG = -getattr(signal, "SIGXCPU", 24)
PROGRAM = "-m", f"{__package__}.unpack"
PACKAGES = Path(__file__).parents[2]


def pixels_of(header: Header, mode: str, size: Hw) -> Pixels:
    """A picture as "RGB" (height, width, 3), or a mask as "L" or "A" (height, width): see unpack. It is upright, and
    resampled to `size` if it differs.

    Raises BadPicture for a file that breaks off or takes too long, PicturesWaiting while too many others are unpacked.
    """
    height, width = size
    if is_cheap(header, width, height):
        with CHEAP.turn():
            return np.asarray(unpack(header, mode, width, height))
    with DEAR.turn():
        packed = _in_a_process(header.file, mode, width, height)
    shape = (height, width, 3) if mode == "RGB" else (height, width)
    if len(packed) != np.prod(shape):
        raise broken()
    return np.frombuffer(packed, np.uint8).reshape(shape)


def _in_a_process(file: bytes, mode: str, width: int, height: int) -> bytes:
    """What unpack.py writes; nothing if it fails. The process is gone when this returns or raises."""
    process = _start(mode, str(width), str(height))
    pipe, process.stdin = process.stdin, None  # communicate() forgets the rest of its input when its time is up
    feeder = threading.Thread(target=_feed, args=(pipe, file), daemon=True)
    feeder.start()
    try:
        return _output(process)
    finally:
        process.kill()
        process.communicate()
        feeder.join()


def _start(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", *PROGRAM, *arguments]
    paths = os.pathsep.join(filter(None, (str(PACKAGES), os.environ.get("PYTHONPATH"))))
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": paths},
        )
    except OSError:  # no memory or no processes left: perhaps later
        raise PicturesWaiting from None


def _feed(pipe: IO[bytes], file: bytes) -> None:
    with suppress(OSError), pipe:  # the process may end, or be ended, before it has read all
        pipe.write(file)


def _output(process: subprocess.Popen[bytes]) -> bytes:
    end = time.monotonic() + LONGEST
    while time.monotonic() < end:
        try:
            output = process.communicate(timeout=PULSE)[0]
        except subprocess.TimeoutExpired:
            stop_if_given_up()
        else:
            if process.returncode == TOO_LONG:
                break
            return output
    raise BadPicture("must be simpler: it takes too long to unpack")
