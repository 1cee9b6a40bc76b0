"""A model that a server knows of: what can be asked of it, and how it stands."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from safelight_server.diffusion.model_info import ModelInfo
from safelight_server.lanes.buffers import resident

from . import footprint
from .device import Device

FIRST_LOAD = 10.0  # seconds, of a model that was not loaded yet: what is told to those who do not wait


class ModelState(Enum):
    """How a model stands."""

    UNLOADED = "unloaded"  # the next request loads it
    LOADING = "loading"
    LOADED = "loaded"
    LEAVING = "leaving"  # is unloaded once its jobs are over; who asks for it meanwhile has it loaded again
    FAILED = "failed"  # could not be loaded


@dataclass(eq=False)
class Known:
    """A model that can be asked for. `lane` is the name of the one that it is loaded on."""

    info: ModelInfo
    device: Device
    lane: str
    state: ModelState = ModelState.UNLOADED
    memory: int = 0  # bytes that it added when it was loaded last
    seconds: float = FIRST_LOAD  # that this took
    wanted: float = 0.0  # when somebody last had it, a time.monotonic()
    failed: float = -math.inf  # when it could not be loaded, a time.monotonic()
    is_checked: bool = False  # its files, since it was loaded last
    holds: int = 0  # of those who are about to begin a job
    unloads: int = 0  # of those who wait for it to be unloaded

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def was_loaded(self) -> bool:
        """So that its seconds and its memory are those that were seen."""
        return self.memory > 0

    @property
    def needs(self) -> int:
        """Bytes, to be loaded."""
        return self.memory or footprint.guess(self.info.config, self.device)

    def told(self) -> str:
        """A line for the log, of a model that was just loaded."""
        config, weights = self.info.config, footprint.weight_bytes(self.info.config)
        return (
            f"model {self.name} is loaded and warm: {config.kind}, {self.info.precision} on {self.lane}; "
            f"{footprint.size(weights)} of weights in {self.seconds:.1f} s, {footprint.size(self.memory)} more memory, "
            f"{footprint.size(resident())} in all"
        )
