"""What the bits of a picture hang on beside the request: the files, how they are compiled, OpenVINO, the processor."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from pathlib import Path

import openvino as ov

from safelight_server.model_folder.model_config import ModelConfig

from .device import Device

# Settings that change no bit of a picture.
NOT_SEEN = ("CACHE_DIR", "CACHE_MODE", "CPU_RUNTIME_CACHE_CAPACITY")
# Instruction sets that OpenVINO's CPU plugin chooses its kernels by.
SETS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_int8", "amx_bf16", "amx_fp16")


def identity(config: ModelConfig, device: Device) -> str:
    """The same text: the same files, as far as that is known, compiled in the same way."""
    settings = {key: value for key, value in device.settings().items() if key not in NOT_SEEN}
    return f"{config.manifest.seal or _files(config.folder)} {settings}"


def _files(folder: Path) -> str:
    """Of a folder without a seal: names, sizes and times of its files."""
    lines = [stamp(path) for path in sorted(folder.rglob("*")) if path.is_file()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def stamp(file: Path) -> str:
    """Another text once the file is another one, as far as its name, size and time tell."""
    stat = file.stat()
    return f"{file} {stat.st_size} {stat.st_mtime_ns}"


@cache
def runtime() -> str:
    """OpenVINO's version, without the name of its build."""
    version: str = ov.get_version()
    return version.partition("-")[0]


@cache
def processor(device: str) -> str:
    """A device as OpenVINO names it in full; a CPU with its instruction sets and cores, which choose the kernels."""
    try:
        name = str(ov.Core().get_property(device, "FULL_DEVICE_NAME")).strip()
    except RuntimeError:
        name = device  # AUTO and its like have none
    if not device.startswith("CPU"):
        return name
    return f"{name}, {platform.machine()}, {' '.join(_instruction_sets()) or 'unknown instruction sets'}"


def _instruction_sets() -> list[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return []
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "").split()
    return [name for name in SETS if name in flags]
