"""How much more memory a job takes than the process has: by what its networks were seen to take."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from safelight_server.diffusion.pipeline import Pipeline
from safelight_server.diffusion.plan import Plan
from safelight_server.diffusion.state import latent_shape

# Bytes for each pixel that a VAE decoder takes for its largest layers, f32: 2 x 256 channels at half of the size, and
# 3 x 128 at the full one.
DECODER_BYTES = 4 * (2 * 256 // 4 + 3 * 128)
# For each number of its input, that a UNet takes: what it keeps for the way up, and its largest layers.
UNET_BYTES = 2500


def peak_of(models: Mapping[str, Pipeline], plan: Plan) -> int:
    """Bytes that a job of this size takes beside what is there already. What was not seen yet is guessed."""
    job, pipelines = plan.job, [models[name] for name in plan.models]
    steps = sum(_of_steps(model, plan) for model in pipelines)
    networks, space = pipelines[-1].networks, pipelines[-1].config.latents
    tiny = networks.tiny_decoder if job.acceleration.tiny else None
    decoding = (tiny or networks.vae_decoder).buffers.more(latent_shape(job.size, space.channels, space.factor))
    height, width = job.size
    return steps + (height * width * DECODER_BYTES if decoding is None else decoding)


def _of_steps(model: Pipeline, plan: Plan) -> int:
    space, rows = model.config.latents, 1 + model.conditioner.guides(plan.job)
    _, *row = latent_shape(plan.job.size, space.channels, space.factor)
    more = model.networks.unet.buffers.more((rows, *row))
    return UNET_BYTES * math.prod((rows, *row)) if more is None else more


def available() -> int:
    """Bytes that the process may still take: what the machine has, or the limit of its control group."""
    free, limit = _free(), _group("memory.max")
    return free if limit is None else min(free, limit - (_group("memory.current") or 0))


def _free() -> int:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:  # no Linux
        return _installed()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def _installed() -> int:
    """All that the machine has. Windows does not say it so: there, nothing is refused for want of memory."""
    if not hasattr(os, "sysconf"):
        return sys.maxsize
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _group(name: str) -> int | None:
    try:
        text = Path("/sys/fs/cgroup", name).read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
