"""Our server with a meter on every inference: python -m benchmark.metered serve ... writes to $BENCHMARK_METER.

A line is "unet" or "other", and the seconds that OpenVINO itself took.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openvino as ov
from safelight_server.__main__ import main

VARIABLE = "BENCHMARK_METER"


class Readings:
    """Reads what a metered server has written since the last look."""

    def __init__(self, path: Path) -> None:
        self._path, self._at = path, 0

    def new(self) -> list[tuple[str, float]]:
        with self._path.open(encoding="ascii") as file:
            file.seek(self._at)
            lines = file.readlines()
            self._at = file.tell()
        return [(network, float(seconds)) for network, seconds in map(str.split, lines)]


def on_inference(told: Callable[[str, float, int], object]) -> None:
    """From now on, `told` hears of every inference that is waited for: "unet" or "other", its seconds, its rows."""
    wait = ov.InferRequest.wait

    def metered(request: Any) -> None:
        wait(request)
        network = "unet" if any("timestep" in port.names for port in request.model_inputs) else "other"
        told(network, request.latency / 1000, request.get_input_tensor(0).shape[0])

    ov.InferRequest.wait = metered


def put_meter(path: str) -> None:
    """From now on, every inference that is waited for adds a line to the file `path`."""
    file = open(path, "a", encoding="ascii", buffering=1)  # noqa: SIM115 - open as long as the process
    on_inference(lambda network, seconds, rows: file.write(f"{network} {seconds}\n"))


if __name__ == "__main__":
    put_meter(os.environ[VARIABLE])
    main()
