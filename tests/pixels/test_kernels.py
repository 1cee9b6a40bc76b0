"""safelight_server.pixels.kernels: both implementations against independent references and formulas."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from safelight_server.pixels import kernels
from safelight_server.pixels.coefficients import Update
from support.pixel_cases import FULL, INF, NAN, bytes_of, normal, step

# ---- references; scripts/sanitize leaves them out by "torch" or "diffusers" in their names: torch does not load there


def test_planes_and_picture_are_those_of_diffusers(low: ModuleType) -> None:
    import torch
    from diffusers.image_processor import VaeImageProcessor
    from PIL import Image

    picture = bytes_of(64, 40, 3)
    picture.reshape(-1)[:256] = range(256)
    processor = VaeImageProcessor()
    planes = processor.preprocess(Image.fromarray(picture)).numpy()
    np.testing.assert_array_equal(kernels.planes_from_picture(picture), planes)
    noisy = planes + np.float32(0.3) * normal(*planes.shape)
    (want,) = processor.postprocess(torch.from_numpy(noisy), output_type="pil")
    np.testing.assert_array_equal(kernels.picture_from_planes(noisy), np.asarray(want))


@pytest.mark.parametrize("factor", [1, 2, 8])
def test_weights_are_torch_s_nearest(low: ModuleType, factor: int) -> None:
    import torch

    mask = bytes_of(24, 40)
    mask[0, :2] = 127, 128
    binary = (torch.from_numpy(mask)[None, None] / 255 >= 0.5).float()
    want = torch.nn.functional.interpolate(binary, size=(24 // factor, 40 // factor))
    np.testing.assert_array_equal(kernels.weights_from_mask(mask, factor), want.numpy())


@pytest.mark.parametrize("rescale", [0.0, 0.3, 1.0])
def test_guidance_is_that_of_diffusers(low: ModuleType, rescale: float) -> None:
    import torch
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg

    sample, output = normal(1, 4, 32, 24), normal(2, 4, 32, 24, seed=1)
    u, c = torch.from_numpy(output).chunk(2)
    want = rescale_noise_cfg(u + 7.5 * (c - u), c, guidance_rescale=rescale).numpy()
    bare = Update(x0_sample=0, x0_output=1, sample=0, denoised=1)
    for got in kernels.advance(sample, output, guidance=7.5, rescale=rescale, update=bare):
        np.testing.assert_allclose(got, want, rtol=2e-6, atol=2e-6)


# ---- formulas ----


def test_every_byte_comes_back(low: ModuleType) -> None:
    picture = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    values = np.arange(256, dtype=np.float32) / np.float32(255) * np.float32(2) - np.float32(1)
    planes = kernels.planes_from_picture(picture)
    np.testing.assert_array_equal(planes, np.broadcast_to(values.reshape(16, 16), (1, 3, 16, 16)))
    np.testing.assert_array_equal(kernels.picture_from_planes(planes), picture)


def test_a_fourth_channel_is_ignored(low: ModuleType) -> None:
    picture = bytes_of(33, 29, 4)
    want = kernels.planes_from_picture(np.ascontiguousarray(picture[..., :3]))
    np.testing.assert_array_equal(kernels.planes_from_picture(picture), want)


def test_out_of_range_goes_to_the_ends_and_nan_to_black(low: ModuleType) -> None:
    values = np.array([NAN, -NAN, -INF, -3e38, -1, 1, 1.001, 3e38, INF], np.float32)
    planes = np.broadcast_to(values.reshape(1, 1, 1, 9), (1, 3, 1, 9)).copy()
    assert kernels.picture_from_planes(planes)[0, :, 1].tolist() == [0, 0, 0, 0, 0, 255, 255, 255, 255]


def test_halves_go_to_the_even_neighbour(low: ModuleType) -> None:
    values = np.linspace(-1, 1, 3 * 511, dtype=np.float32).reshape(1, 3, 7, 73)
    unit = values * np.float32(0.5) + np.float32(0.5)
    want = np.rint(unit * np.float32(255)).astype(np.uint8)
    np.testing.assert_array_equal(kernels.picture_from_planes(values), want[0].transpose(1, 2, 0))


@pytest.mark.parametrize("channels", [1, 4, 16, 64])
def test_preview_is_a_weighted_sum(low: ModuleType, channels: int) -> None:
    latents, matrix, bias = normal(1, channels, 9, 31), normal(channels, 3) * 0.2, normal(3) * 0.1
    rgb = np.einsum("chw,ck->hwk", latents[0].astype(float), matrix) + bias
    got = kernels.preview_from_latents(latents, matrix, bias).astype(int)
    assert np.abs(got - ((rgb / 2 + 0.5).clip(0, 1) * 255)).max() <= 0.5001


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("clip", [None, 0.8])
def test_advance_follows_the_formulas(low: ModuleType, rows: int, clip: float | None) -> None:
    sample, output, previous, noise = (normal(n, 4, 9, 31, seed=s) for s, n in enumerate((1, rows, 1, 1)))
    a, b, k, d, e, p, z, _ = update = FULL._replace(clip=clip)
    m = output if rows == 1 else output[:1] + 5 * (output[1:] - output[:1])
    denoised = (a * sample + b * m).clip(-(clip or np.inf), clip or np.inf)
    following = k * sample + e * m + d * denoised + p * previous + z * noise
    got = kernels.advance(sample, output, guidance=5, rescale=0, update=update, previous=previous, noise=noise)
    np.testing.assert_allclose(got, (following, denoised), rtol=1e-5, atol=1e-5)


def test_a_term_without_weight_is_not_read(low: ModuleType) -> None:
    bad = np.full((1, 4, 3, 5), INF)
    update = Update(x0_sample=1, x0_output=0, sample=0, denoised=2)
    good = normal(1, 4, 3, 5)
    got = kernels.advance(good, bad, guidance=1, rescale=0, update=update, previous=bad, noise=bad)
    np.testing.assert_array_equal(got, (2 * good, good))


def test_nan_and_infinity_pass_through_a_step(low: ModuleType) -> None:
    sample = np.array([NAN, INF, -INF, 0], np.float32).reshape(1, 1, 1, 4)
    update = Update(x0_sample=1, x0_output=0, sample=1, denoised=0, clip=2)
    following, denoised = kernels.advance(sample, np.zeros_like(sample), guidance=1, rescale=0, update=update)
    np.testing.assert_array_equal(denoised.ravel(), [NAN, 2, -2, 0])
    np.testing.assert_array_equal(following, sample)


@pytest.mark.parametrize("shape", [(2, 1, 1, 1), (2, 4, 5, 7)])
def test_rescale_leaves_a_constant_alone(low: ModuleType, shape: tuple[int, ...]) -> None:
    output = np.full(shape, 0.1, np.float32)
    bare = Update(x0_sample=0, x0_output=1, sample=0, denoised=1)
    following, _ = kernels.advance(output[:1], output, guidance=3, rescale=1, update=bare)
    np.testing.assert_array_equal(following, output[:1])


def test_a_number_of_numpy_is_taken_as_one_of_python(low: ModuleType) -> None:
    """1 - np.float32(0.1) would be rounded to float32."""
    for share in np.linspace(0, 1, 50, dtype=np.float32):
        given: Any = share
        np.testing.assert_array_equal(step(FULL, rescale=given), step(FULL, rescale=float(share)))


def test_blend_keeps_what_the_mask_keeps(low: ModuleType) -> None:
    sample, original, noise = (normal(1, 4, 9, 31, seed=s) for s in range(3))
    weights = np.random.default_rng(0).integers(0, 2, (1, 1, 9, 31)).astype(np.float32)
    got = kernels.blend(sample, weights, original, noise, original_scale=0.8, noise_scale=0.6)
    want = np.where(weights == 1, sample, np.float32(0.8) * original + np.float32(0.6) * noise)
    np.testing.assert_array_equal(got, want)
