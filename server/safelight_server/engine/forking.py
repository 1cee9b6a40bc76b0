"""Where a new job goes on that was forked from another one: at the same step, or at the same noise on another way."""

from __future__ import annotations

import math

import numpy as np

from safelight_server.diffusion.plan import Plan
from safelight_server.diffusion.state import State
from safelight_server.job_store.checkpoints import Checkpoint
from safelight_server.samplers.noise_levels import Level

from .job_runner import Beginning


def beginning(plan: Plan, kept: Checkpoint) -> Beginning | None:
    """Where the one image of a plan goes on from a checkpoint; None: no step of the plan has as little noise.

    On the same way it is the checkpoint itself, so that a fork which changes nothing gives the same bits. On another
    one, the noise in the latents is scaled to the level of the nearest step: x = signal * x0 + noise * n.
    """
    if kept.segment < len(plan.segments) and plan.segments[kept.segment].fingerprint == kept.way:
        return Beginning(0, kept._replace(image=0))
    places = [
        (place, step, segment.schedule.noising(step))
        for place, segment in enumerate(plan.segments)
        for step in range(segment.first, segment.last)
    ]
    done, (place, step, level) = min(enumerate(places), key=lambda each: abs(_log(each[1][2]) - _log(kept.level)))
    if not done:
        return None
    signal, noise = kept.level
    fresh = (kept.state.latents - np.float32(signal) * kept.denoised) / np.float32(noise)
    latents = (np.float32(level.signal) * kept.denoised + np.float32(level.noise) * fresh).astype(np.float32)
    state = State(step, latents, None, kept.state.position)
    way = plan.segments[place].fingerprint
    return Beginning(0, Checkpoint(0, done, place, state, kept.denoised, level, way))


def _log(level: Level) -> float:
    """Of noise over signal."""
    return math.log(max(level.noise, 1e-9) / max(level.signal, 1e-9))
