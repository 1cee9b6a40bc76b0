from safelight_server.pixels._numpy import Bytes, Floats
from safelight_server.pixels.coefficients import Update

INSTRUCTIONS: str

def planes_from_picture(picture: Bytes, out: Floats, /) -> None: ...
def picture_from_planes(planes: Floats, out: Bytes, /) -> None: ...
def preview_from_latents(latents: Floats, matrix: Floats, bias: Floats, out: Bytes, /) -> None: ...
def weights_from_mask(mask: Bytes, out: Floats, /) -> None: ...
def advance(
    sample: Floats,
    output: Floats,
    guidance: float,
    rescale: float,
    update: Update,
    previous: Floats | None,
    noise: Floats | None,
    out_sample: Floats,
    out_denoised: Floats,
    /,
) -> None: ...
def blend(
    sample: Floats,
    weights: Floats,
    original: Floats,
    noise: Floats,
    original_scale: float,
    noise_scale: float,
    out: Floats,
    /,
) -> None: ...
