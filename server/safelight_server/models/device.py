"""Where and how a model runs: an OpenVINO device and its settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What OpenVINO makes for each shape that a network runs at, it keeps: by default 5,000 pieces a network, of which a
# UNet has some 80 a shape. 60 shapes of pictures took 0.6 GB more with the demo models, and nothing gave it back.
KEPT_FOR_SHAPES = 500


@dataclass(frozen=True)
class Device:
    """Where and how to run. `precision` is "f32", "bf16" or "f16", of the arithmetic; None: the device chooses, or it
    `measures` which is the fastest here, network by network. `cache` is a folder for what the next start need not do.
    """

    name: str = "CPU"  # as OpenVINO calls it
    precision: str | None = None
    cache: Path | None = None
    threads: int | None = None  # of a CPU; None: one for each core
    measures: bool = False

    def settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if self.name == "CPU":
            settings["CPU_RUNTIME_CACHE_CAPACITY"] = KEPT_FOR_SHAPES
        if self.precision:
            settings["INFERENCE_PRECISION_HINT"] = self.precision
        if self.threads:
            settings["INFERENCE_NUM_THREADS"] = self.threads
        return settings
