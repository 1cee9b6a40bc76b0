"""safelight_server.pixels: every bad argument is named, by both implementations alike."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from safelight_server.pixels import kernels
from support.pixel_cases import PLAIN, advancing, blending, f32, readonly, u8, unaligned

# ---- bad arguments: (what the error says, its class, the function, its arguments) ----


shared = f32(1, 4, 3, 5)
NUMBERS = "must be|missing|not supported"  # in the words of Python, which differ between C and NumPy
BAD: list[tuple[str, type[Exception], str, tuple[Any, ...]]] = [
    ("picture must be an array", TypeError, "planes_from_picture", (None, f32(1, 3, 3, 5))),
    ("picture must hold uint8", TypeError, "planes_from_picture", (f32(3, 5, 3), f32(1, 3, 3, 5))),
    (r"\(\*, \*, \*\).*not \(3, 5\)", ValueError, "planes_from_picture", (u8(3, 5), f32(1, 3, 3, 5))),
    ("3 or 4 channels, not 2", ValueError, "planes_from_picture", (u8(3, 5, 2), f32(1, 3, 3, 5))),
    ("no empty dimension", ValueError, "planes_from_picture", (u8(0, 5, 3), f32(1, 3, 0, 5))),
    ("picture.*C-contiguous", ValueError, "planes_from_picture", (u8(6, 5, 3)[::2], f32(1, 3, 3, 5))),
    ("picture.*C-contiguous", ValueError, "planes_from_picture", (u8(5, 3, 3).transpose(1, 0, 2), f32(1, 3, 3, 5))),
    ("out must hold float32", TypeError, "planes_from_picture", (u8(3, 5, 3), np.zeros((1, 3, 3, 5)))),
    ("out must hold float32", TypeError, "planes_from_picture", (u8(3, 5, 3), f32(1, 3, 3, 5).astype(">f4"))),
    (r"\(1, 3, 3, 5\).*not \(1, 3, 5, 3\)", ValueError, "planes_from_picture", (u8(3, 5, 3), f32(1, 3, 5, 3))),
    ("out.*read-only", ValueError, "planes_from_picture", (u8(3, 5, 3), readonly(f32(1, 3, 3, 5)))),
    ("aligned", ValueError, "planes_from_picture", (u8(3, 5, 3), unaligned(1, 3, 3, 5))),
    ("planes must hold float32", TypeError, "picture_from_planes", (np.zeros((1, 3, 3, 5), np.float16), u8(3, 5, 3))),
    (r"\(1, 3, \*, \*\)", ValueError, "picture_from_planes", (f32(2, 3, 3, 5), u8(3, 5, 3))),
    ("planes.*aligned", ValueError, "picture_from_planes", (unaligned(1, 3, 3, 5), u8(3, 5, 3))),
    ("out must have the shape", ValueError, "picture_from_planes", (f32(1, 3, 3, 5), u8(3, 5, 4))),
    ("out must not share memory with planes", ValueError, "picture_from_planes",
     (shared[:, :3], shared.view(np.uint8).reshape(-1)[:45].reshape(3, 5, 3))),
    ("1 to 64 channels, not 65", ValueError, "preview_from_latents",
     (f32(1, 65, 3, 5), f32(65, 3), f32(3), u8(3, 5, 3))),
    (r"matrix.*\(4, 3\).*not \(3, 4\)", ValueError, "preview_from_latents",
     (f32(1, 4, 3, 5), f32(3, 4), f32(3), u8(3, 5, 3))),
    (r"bias.*\(3,\).*not \(4,\)", ValueError, "preview_from_latents",
     (f32(1, 4, 3, 5), f32(4, 3), f32(4), u8(3, 5, 3))),
    ("mask must hold uint8", TypeError, "weights_from_mask", (np.zeros((16, 16), bool), f32(1, 1, 2, 2))),
    ("whole number of times.*17x16 over 2x2", ValueError, "weights_from_mask", (u8(17, 16), f32(1, 1, 2, 2))),
    ("whole number of times", ValueError, "weights_from_mask", (u8(16, 32), f32(1, 1, 2, 2))),
    ("whole number of times", ValueError, "weights_from_mask", (u8(2, 2), f32(1, 1, 4, 4))),
    ("output must have 1 or 2 rows, not 3", ValueError, "advance", advancing(output=f32(3, 4, 3, 5))),
    ("output must have the shape", ValueError, "advance", advancing(output=f32(2, 4, 5, 3))),
    ("guidance must be in", ValueError, "advance", advancing(guidance=float("inf"))),
    (NUMBERS, TypeError, "advance", advancing(guidance="5")),
    ("rescale must be in 0..1, not 1.5", ValueError, "advance", advancing(rescale=1.5)),
    ("rescale must be in 0..1, not nan", ValueError, "advance", advancing(rescale=float("nan"))),
    ("update must be a tuple", TypeError, "advance", advancing(update=[1.0] * 8)),
    (NUMBERS, TypeError, "advance", advancing(update=(1.0, 2.0))),
    (NUMBERS, TypeError, "advance", advancing(update=tuple(PLAIN)[:7])),
    (NUMBERS, TypeError, "advance", advancing(update=(1.0, 1.0, "1", 1.0, 0.0, 0.0, 0.0, None))),
    (NUMBERS, TypeError, "advance", advancing(update=(1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, "1"))),
    ("update.denoised must be in", ValueError, "advance", advancing(update=PLAIN._replace(denoised=1e39))),
    ("update.clip must be None or above 0", ValueError, "advance", advancing(update=PLAIN._replace(clip=0.0))),
    ("update.clip must be None or above 0", ValueError, "advance", advancing(update=PLAIN._replace(clip=float("nan")))),
    ("previous must not be None", ValueError, "advance", advancing(update=PLAIN._replace(previous=1.0))),
    ("noise must not be None", ValueError, "advance", advancing(update=PLAIN._replace(noise=1.0))),
    ("noise must have the shape", ValueError, "advance", advancing(noise=f32(1, 1, 3, 5))),
    ("out_sample.*read-only", ValueError, "advance", advancing(out_sample=readonly(f32(1, 4, 3, 5)))),
    ("must not share memory with sample", ValueError, "advance", advancing(sample=shared, out_sample=shared)),
    ("must not share memory with", ValueError, "advance", advancing(out_sample=shared, out_denoised=shared)),
    ("weights must have the shape", ValueError, "blend", blending(weights=f32(1, 4, 3, 5))),
    ("original must have the shape", ValueError, "blend", blending(original=f32(1, 3, 3, 5))),
    ("noise_scale must be in", ValueError, "blend", blending(noise_scale=float("nan"))),
    ("out must not share memory with noise", ValueError, "blend", blending(noise=shared, out=shared)),
]  # fmt: skip


@pytest.mark.parametrize(("words", "error", "function", "arguments"), BAD)
def test_bad_arguments_are_named(
    low: ModuleType, words: str, error: type[Exception], function: str, arguments: tuple[Any, ...]
) -> None:
    with pytest.raises(error, match=words):
        getattr(low, function)(*arguments)


def test_weights_need_a_factor_that_divides(low: ModuleType) -> None:
    for mask, factor in ((u8(16, 20), 8), (u8(16, 16), 0), (u8(0, 8), 8)):
        with pytest.raises(ValueError, match="mask must"):
            kernels.weights_from_mask(mask, factor)
