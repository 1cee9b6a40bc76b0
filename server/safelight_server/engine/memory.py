"""The process's memory, and how much more a job takes: by what the first jobs of each size were seen to take."""

from __future__ import annotations

import resource
from collections.abc import Mapping
from pathlib import Path

from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.diffusion.plan import Plan

STATM = Path("/proc/self/statm")
# Bytes for each pixel that a VAE decoder takes for its largest layers, f32: 2 x 256 channels at half of the size, and
# 2 x 128 at the full one. It is what a picture takes most for; a UNet's layers are smaller.
DECODER_BYTES = 4 * (2 * 256 // 4 + 3 * 128)


def resident() -> int:
    """Bytes of the process that are in memory."""
    try:
        return int(STATM.read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def peak_of(models: Mapping[str, Pipeline], plan: Plan) -> int:
    """Bytes that a job of this size takes for a while beside what is there already."""
    height, width = plan.job.size
    return height * width * DECODER_BYTES


def available() -> int:
    """Bytes that the process may still take: what the machine has, or the limit of its control group."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    limit = _group("memory.max")
    return free if limit is None else min(free, limit - (_group("memory.current") or 0))


def _group(name: str) -> int | None:
    try:
        text = Path("/sys/fs/cgroup", name).read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
