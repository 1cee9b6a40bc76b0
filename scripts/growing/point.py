"""A server of its own for each point: started, put under a load from another process, read, and stopped."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.environment import environment
from benchmark.memory import Peak
from benchmark.server import Server

from . import readings
from .metered import VARIABLE

PATIENCE = 400  # seconds for a load


@dataclass(frozen=True)
class Work:
    """What a point asks of a server: which models with which options, and a work of growing.load."""

    models: Mapping[str, Path]
    work: str
    arguments: Mapping[str, Any]
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measured:
    """Seconds and bytes of one run. A step is one of one picture; what it took is the time of all, over their number.

    `unet` and `other` are what OpenVINO says of its inferences, `rest` is what no inference took.
    """

    step: float
    unet: float
    other: float
    lag_p99: float
    lag_most: float
    memory: float
    more: Mapping[str, float] = field(default_factory=dict)  # what a line tells beside

    @property
    def rest(self) -> float:
        return self.step - self.unet - self.other


def measure(work: Work, compiled: Path) -> Measured:
    """Runs the work on a server that keeps compiled models in `compiled`. Raises RuntimeError where one ends early."""
    with tempfile.TemporaryDirectory(prefix="safelight-growth-") as folder:
        meter, log, began = Path(folder) / "meter", Path(folder) / "server.log", time.monotonic()
        options = ["--ephemeral", f"--cache-dir={compiled}", *work.options]
        server = Server(work.models, log, *options, module="growing.metered", **{VARIABLE: str(meter)})
        with closing(server), server.ready() as client, Peak(server.process.pid) as peak:
            start = time.monotonic() - began
            told = _load(client.address, work)
        stretch = readings.stretch(readings.read(meter), told.pop("began"), told.pop("ended"))
    return Measured(
        step=stretch.wall / stretch.steps,
        unet=stretch.unet / stretch.steps,
        other=stretch.other / stretch.steps,
        lag_p99=stretch.lag_p99,
        lag_most=stretch.lag_most,
        memory=peak.most.total,
        more={"start": start, **told},
    )


def _load(address: str, work: Work) -> dict[str, float]:
    command = [sys.executable, "-m", "growing.load", address, work.work, json.dumps(work.arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", check=False, timeout=PATIENCE, env=environment()
    )
    if done.returncode:
        raise RuntimeError(f"the client of {work.work} failed: {done.stderr.strip().splitlines()[-1:]}")
    told: dict[str, float] = json.loads(done.stdout)
    return told
