"""One denoising step as a function: no model, no lane, nothing that remembers."""

from __future__ import annotations

from safelight_server.arrays import Array
from safelight_server.jobs import Job
from safelight_server.pixels import kernels
from safelight_server.samplers.noise import randn

from .plan import Segment
from .state import Canvas, State


def advance(
    segment: Segment, job: Job, seed: int, state: State, output: Array, canvas: Canvas | None
) -> tuple[State, Array]:
    """One step as a function: a state and the UNet's output give the next state and x0."""
    schedule, i, position = segment.schedule, state.step, state.position
    noise = None
    if schedule.uses_noise(i):
        noise, position = randn(seed, position, state.latents.shape)
    latents, denoised = kernels.advance(
        state.latents,
        output,
        guidance=job.guidance,
        rescale=job.rescale,
        update=schedule.update(i, state.previous is None),
        previous=state.previous,
        noise=noise,
    )
    after = State(i + 1, latents, denoised, position)
    if canvas is None or canvas.weights is None:
        return after, denoised
    # Outside the mask, the picture as it was: with the next step's noise on it, or clean in what is shown.
    return after._replace(latents=_kept(latents, canvas, *schedule.noising(i + 1))), _kept(denoised, canvas, 1.0, 0.0)


def _kept(latents: Array, canvas: Canvas, original: float, noise: float) -> Array:
    assert canvas.weights is not None
    return kernels.blend(
        latents, canvas.weights, canvas.original, canvas.noise, original_scale=original, noise_scale=noise
    )
