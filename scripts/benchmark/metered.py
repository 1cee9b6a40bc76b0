"""Our server with a meter on every inference: python -m benchmark.metered serve ... writes to $BENCHMARK_METER.

A line is "unet" or "other", and the seconds that OpenVINO itself took.
"""

from __future__ import annotations

import os
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


def put_meter(path: str) -> None:
    """From now on, every inference that is waited for adds a line to the file `path`."""
    file = open(path, "a", encoding="ascii", buffering=1)  # noqa: SIM115 - open as long as the process
    wait = ov.InferRequest.wait

    def metered(request: Any) -> None:
        wait(request)
        names = {name for port in request.model_inputs for name in port.names}
        file.write(f"{'unet' if 'timestep' in names else 'other'} {request.latency / 1000}\n")

    ov.InferRequest.wait = metered


if __name__ == "__main__":
    put_meter(os.environ[VARIABLE])
    main()
