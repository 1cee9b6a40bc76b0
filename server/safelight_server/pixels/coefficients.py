"""One sampler step as eight numbers: all that `pixels.advance` needs to know of a sampler."""

from typing import NamedTuple


class Update(NamedTuple):
    """The weights of one step, for a network output m (after guidance):

        denoised = x0_sample * sample_in + x0_output * m, clamped to [-clip, clip] unless clip is None
        next     = sample * sample_in + output * m + denoised * denoised + previous * previous_in + noise * noise_in

    Each field names the array that it weighs; x0_* weigh towards the estimate of the clean latents. A term whose
    weight is 0 is not read, so that an infinity there cannot make a NaN.
    """

    x0_sample: float
    x0_output: float
    sample: float
    denoised: float
    output: float = 0.0
    previous: float = 0.0
    noise: float = 0.0
    clip: float | None = None
