"""The twin of _native.c in NumPy: the same functions, the same bits, the same exceptions.

It runs where the extension could not be compiled, and the tests compare the C with it. What each function does is said
in kernels.py; the outputs are written into buffers of the caller.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from .coefficients import Update

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

INSTRUCTIONS = "numpy"
MOST_CHANNELS = 64
LANES = 64  # the lanes of _native.c's sums


def planes_from_picture(picture: Bytes, out: Floats, /) -> None:
    height, width, channels = _check("picture", picture, "B", None, None, None)
    if channels not in (3, 4):
        raise ValueError(f"picture must have 3 or 4 channels, not {channels}")
    _check("out", out, "f", 1, 3, height, width, writable=True)
    _check_apart({"out": out}, picture=picture)
    np.copyto(out[0], picture[..., :3].transpose(2, 0, 1))
    np.divide(out, np.float32(255), out=out)
    np.multiply(out, np.float32(2), out=out)
    np.subtract(out, np.float32(1), out=out)


def picture_from_planes(planes: Floats, out: Bytes, /) -> None:
    _, _, height, width = _check("planes", planes, "f", 1, 3, None, None)
    _check("out", out, "B", height, width, 3, writable=True)
    _check_apart({"out": out}, planes=planes)
    _quantize(planes[0], out)


def preview_from_latents(latents: Floats, matrix: Floats, bias: Floats, out: Bytes, /) -> None:
    _, channels, height, width = _check("latents", latents, "f", 1, None, None, None)
    if channels > MOST_CHANNELS:
        raise ValueError(f"latents must have 1 to {MOST_CHANNELS} channels, not {channels}")
    _check("matrix", matrix, "f", channels, 3)
    _check("bias", bias, "f", 3)
    _check("out", out, "B", height, width, 3, writable=True)
    _check_apart({"out": out}, latents=latents, matrix=matrix, bias=bias)
    planes = np.zeros((3, height, width), np.float32)
    with np.errstate(all="ignore"):
        for channel, colour in zip(latents[0], matrix, strict=True):
            planes += colour[:, None, None] * channel
        planes += bias[:, None, None]
    _quantize(planes, out)


def weights_from_mask(mask: Bytes, out: Floats, /) -> None:
    size = _check("mask", mask, "B", None, None)
    _, _, height, width = _check("out", out, "f", 1, 1, None, None, writable=True)
    _check_apart({"out": out}, mask=mask)
    factor = size[0] // height
    if size != (height * factor, width * factor):
        raise ValueError(
            f"mask must be a whole number of times as large as out, not {size[0]}x{size[1]} over {height}x{width}"
        )
    out[0, 0] = mask[::factor, ::factor] >= 128


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
) -> None:
    scale, rescale, update = _float32("guidance", guidance), _within("rescale", rescale, 0, 1), _check_update(update)
    _, *shape = _check("sample", sample, "f", 1, None, None, None)
    rows = _check("output", output, "f", None, *shape)[0]
    if rows > 2:
        raise ValueError(f"output must have 1 or 2 rows, not {rows}")
    given = {name: array for name, array in (("previous", previous), ("noise", noise)) if array is not None}
    for name in ("previous", "noise"):
        if name in given:
            _check(name, given[name], "f", 1, *shape)
        elif np.float32(getattr(update, name)):
            raise ValueError(f"{name} must not be None, as update.{name} is not 0")
    _check("out_sample", out_sample, "f", 1, *shape, writable=True)
    _check("out_denoised", out_denoised, "f", 1, *shape, writable=True)
    _check_apart({"out_sample": out_sample, "out_denoised": out_denoised}, sample=sample, output=output, **given)
    with np.errstate(all="ignore"):  # infinities and NaN pass through without a warning, as in C
        m = output if rows == 1 else _apply_guidance(output[:1], output[1:], scale, rescale)
        _weighted_sum(out_denoised, (update.x0_sample, sample), (update.x0_output, m))
        if update.clip is not None:
            np.clip(out_denoised, -np.float32(update.clip), np.float32(update.clip), out=out_denoised)
        terms = (update.sample, sample), (update.output, m), (update.denoised, out_denoised)
        _weighted_sum(out_sample, *terms, (update.previous, previous), (update.noise, noise))


def blend(
    sample: Floats,
    weights: Floats,
    original: Floats,
    noise: Floats,
    original_scale: float,
    noise_scale: float,
    out: Floats,
    /,
) -> None:
    scales = _float32("original_scale", original_scale), _float32("noise_scale", noise_scale)
    _, channels, height, width = _check("sample", sample, "f", 1, None, None, None)
    _check("weights", weights, "f", 1, 1, height, width)
    _check("original", original, "f", 1, channels, height, width)
    _check("noise", noise, "f", 1, channels, height, width)
    _check("out", out, "f", 1, channels, height, width, writable=True)
    _check_apart({"out": out}, sample=sample, weights=weights, original=original, noise=noise)
    with np.errstate(all="ignore"):
        np.multiply(original, scales[0], out=out)
        out += scales[1] * noise
        out *= 1 - weights
        out += weights * sample


def _quantize(planes: Floats, out: Bytes) -> None:
    """-1..1 in planes (3, height, width) to 0..255 in a picture (height, width, 3); NaN to 0."""
    with np.errstate(all="ignore"):
        unit = planes * np.float32(0.5)
        unit += np.float32(0.5)
        np.fmax(unit, np.float32(0), out=unit)  # of a number and NaN, fmax takes the number
        np.fmin(unit, np.float32(1), out=unit)
        unit *= np.float32(255)
        np.rint(unit, out=unit)
    for channel, plane in enumerate(unit):  # two times faster than one copy of the transposed whole
        out[..., channel] = plane


def _weighted_sum(out: Floats, *terms: tuple[float, Floats | None]) -> None:
    out[...] = 0
    for weight, term in terms:
        if term is not None and np.float32(weight):
            out += np.float32(weight) * term


def _apply_guidance(unconditional: Floats, conditional: Floats, guidance: np.float32, rescale: float) -> Floats:
    m = unconditional + guidance * (conditional - unconditional)
    if rescale > 0 and (spread := _deviation(m)) != 0:
        m *= np.float32(rescale * (_deviation(conditional) / spread) + (1 - rescale))
    return m


def _deviation(row: Floats) -> np.float64:
    """Unbiased standard deviation, summed in the order of _native.c's `struct moments`."""
    values = row.ravel().astype(np.float64)
    values -= values[0]
    padded = np.zeros((-(-values.size // LANES), LANES))
    padded.reshape(-1)[: values.size] = values
    total, squares = _sum_lanes(padded), _sum_lanes(padded * padded)
    variance = (squares - total * total / values.size) / max(values.size - 1, 1)
    return np.float64(np.sqrt(np.maximum(variance, 0.0)))  # keeps NaN


def _sum_lanes(values: npt.NDArray[np.float64]) -> np.float64:
    lanes = values.sum(axis=0)
    while lanes.size > 1:
        lanes = lanes[: lanes.size // 2] + lanes[lanes.size // 2 :]
    return np.float64(lanes[0])


def _check(name: str, array: Any, format: str, *shape: int | None, writable: bool = False) -> tuple[int, ...]:
    """The argument's shape, if it follows the rules; None in `shape` stands for any size above 0."""
    try:
        view = memoryview(array)
    except TypeError:
        raise TypeError(f"{name} must be an array, not {type(array)!r}") from None
    if view.format.lstrip("=@") != format:  # native order; NumPy marks unaligned arrays so
        dtype = {"f": "float32", "B": "uint8"}[format]
        raise TypeError(f"{name} must hold {dtype} ({format!r}), not {view.format!r}")
    plain = np.asarray(view)
    fits = plain.ndim == len(shape) and all(
        got > 0 and want in (None, got) for want, got in zip(shape, plain.shape, strict=True)
    )
    if not fits:
        want = str(shape).replace("None", "*")
        raise ValueError(f"{name} must have the shape {want} with no empty dimension, not {plain.shape}")
    if not plain.flags.c_contiguous or not plain.flags.aligned:
        raise ValueError(f"{name} must be aligned and C-contiguous")
    if writable and not plain.flags.writeable:
        raise ValueError(f"{name} is written to and must not be read-only")
    return plain.shape


def _check_apart(outs: dict[str, npt.NDArray[Any]], **arguments: npt.NDArray[Any]) -> None:
    for name, out in outs.items():
        for other, array in (arguments | outs).items():
            if name != other and np.may_share_memory(out, array):
                raise ValueError(f"{name} must not share memory with {other}")


def _check_update(update: Any) -> Update:
    if not isinstance(update, tuple) or len(update) != 8:
        raise TypeError(f"update must be a tuple of 8, not {update!r}")
    named = Update(*update)
    for name in ("x0_sample", "x0_output", "sample", "denoised", "output", "previous", "noise"):
        _float32(f"update.{name}", getattr(named, name))
    if named.clip is not None:
        if not named.clip > 0:
            raise ValueError(f"update.clip must be None or above 0, not {named.clip!r}")
        if named.clip != np.inf:
            _float32("update.clip", named.clip)
    return named


def _float32(name: str, value: float) -> np.float32:
    most = float(np.finfo(np.float32).max)
    return np.float32(_within(name, value, -most, most))


def _within(name: str, value: float, low: float, high: float) -> float:
    if low <= value <= high:
        return float(value)  # as C reads it: 1 - np.float32(0.1) is rounded to float32
    raise ValueError(f"{name} must be in {low:g}..{high:g}, not {value:g}")
