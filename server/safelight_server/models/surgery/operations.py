"""Which operations a part of a model is given, and where: those that were measured to pay.

docs/benchmarks/profile.md has the figures, and what was left out. Each is exact but for rounding, so a picture differs
by 1/255 in places from one of the graph as it lies in its file. What pictures hang on tells them apart: see `told`.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from safelight_server.models.device import Device
from safelight_server.models.precision import usual

from . import norms, upsampling

PARTS: Mapping[str, tuple[ModuleType, ...]] = {
    "vae_decoder": (upsampling, norms),
    "vae_tiny_decoder": (upsampling,),
}
# What an operation gives is one version: another one, if it ever rounds in another way, is another number.
VERSIONS: Mapping[ModuleType, int] = {upsampling: 1, norms: 1}

Operation = Callable[[Any], int]


def operate(graph: Any, part: str, device: Device) -> Mapping[str, int]:
    """Changes the graph of a part, an ov.Model, for this device; how often each operation found its pattern.

    Quantized graphs stay as they are: there a difference in the last bit is a step of a quantizer, and the picture is
    another one, by up to 5/255 where it was measured.
    """
    if part not in PARTS or not _pays(device) or any(op.get_type_name() == "FakeQuantize" for op in graph.get_ops()):
        return {}
    return {_name(operation): operation.operate(graph) for operation in PARTS[part]}


def told(device: Device) -> str:
    """What is done to graphs on this device, for receipts and checkpoints; empty where nothing is."""
    if not _pays(device):
        return ""
    return ", ".join(f"{_name(operation)} {version}" for operation, version in VERSIONS.items())


def _pays(device: Device) -> bool:
    """On CPUs with x86-64 in f32, which is where it was measured: others have other layouts, and other roundings."""
    is_x86 = device.name == "CPU" and platform.machine() in ("x86_64", "AMD64")
    return is_x86 and (device.precision or usual(device.name)) == "f32"


def _name(operation: ModuleType) -> str:
    return operation.__name__.rpartition(".")[2]
