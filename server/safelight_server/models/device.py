"""Where and how a model runs: an OpenVINO device and its settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Device:
    """Where and how to run. `precision` is "f32", "bf16" or "f16", of the arithmetic; None: the device chooses."""

    name: str = "CPU"  # as OpenVINO calls it
    precision: str | None = None
    cache: Path | None = None
    threads: int | None = None  # of a CPU; None: one for each core

    def settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if self.precision:
            settings["INFERENCE_PRECISION_HINT"] = self.precision
        if self.threads:
            settings["INFERENCE_NUM_THREADS"] = self.threads
        if self.cache:
            settings |= {"CACHE_DIR": str(self.cache), "CACHE_MODE": "OPTIMIZE_SIZE"}
        return settings
