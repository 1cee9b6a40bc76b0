"""What models take of the process's memory: a guess from their files, and what is given back after they are closed."""

from __future__ import annotations

import ctypes

from safelight_server.model_folder.model_config import ModelConfig

from . import inspection
from .device import Device
from .precision import usual

# Bytes in memory for each byte of weights in the files, most of which are f16. The runs that warm a model up take some
# as well, which do not grow with the weights.
TIMES = {"f32": 2.0, "bf16": 1.0, "f16": 1.0}
WARM = 150 * 2**20


def weight_bytes(config: ModelConfig) -> int:
    """Of all its networks, as the files have them."""
    return sum(inspection.weights(config).values())


def guess(config: ModelConfig, device: Device) -> int:
    """Bytes that a model takes which was not loaded yet."""
    return round(weight_bytes(config) * TIMES[device.precision or usual(device.name)]) + WARM


def give_back() -> None:
    """Returns to the system what was freed: glibc keeps it otherwise, for allocations to come."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):  # no glibc: others give back by themselves
        return


def size(count: float) -> str:
    """Bytes, for people."""
    for unit, number in (("GB", 1e9), ("MB", 1e6)):
        if count >= number:
            return f"{count / number:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"
