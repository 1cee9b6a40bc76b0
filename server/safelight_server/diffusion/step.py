"""One denoising step as a function: no model, no lane, nothing that remembers."""

from __future__ import annotations

from safelight_server.arrays import Array
from safelight_server.pixels import kernels
from safelight_server.samplers import moves
from safelight_server.samplers.noise import randn

from .plan import Trajectory
from .state import Canvas, State


def advance(trajectory: Trajectory, state: State, output: Array, canvas: Canvas | None) -> tuple[State, Array]:
    """A state and the UNet's output (rows, channels, h, w) give the next state, and x0 (1, channels, h, w)."""
    job, schedule = trajectory.job, trajectory.segment.schedule
    i, position, noise = state.step, state.position, None
    if schedule.uses_noise(i):
        noise, position = randn(trajectory.seed, position, state.latents.shape)
    latents, denoised, history = moves.advance(
        schedule.move(i, 0 if state.previous is None else len(state.previous)),
        state.latents,
        output,
        state.previous,
        noise,
        guidance=job.guidance,
        rescale=job.rescale,
    )
    after = State(i + 1, latents, history, position)
    if canvas is None or canvas.weights is None:
        return after, denoised
    # Outside the mask, the picture as it was: with the next step's noise on it, or clean in what is shown.
    return after._replace(latents=_keep(latents, canvas, *schedule.noising(i + 1))), _keep(denoised, canvas, 1.0, 0.0)


def _keep(latents: Array, canvas: Canvas, original: float, noise: float) -> Array:
    """The latents, and outside the mask so much of the original and so much of its noise."""
    assert canvas.weights is not None
    return kernels.blend(
        latents, canvas.weights, canvas.original, canvas.noise, original_scale=original, noise_scale=noise
    )
