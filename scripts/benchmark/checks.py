"""Compares pictures before anything is timed: in f32, with the same seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .cases import INT8
from .ours import Ours
from .peers import worker
from .peers.process import Peer, PeerCrashed
from .request import Request
from .server import Server

Pixels = npt.NDArray[np.uint8]

MOST = 2  # of 255: what rounding comes to after some hundred layers
# openvino-genai's samplers differ from diffusers' by some 1e-4, and the steps of an INT8 graph enlarge that (in
# optimum-intel, too, when its latents are scaled by 1 + 1e-4). Such pictures may differ by this in their mean.
MOST_MEAN = 2
LEAST_SPREAD = 5  # standard deviation: two flat pictures are equal whatever the pipelines do


class Verdict(NamedTuple):
    """Whether all pictures are the same one, and how far they are from each other."""

    equal: bool
    text: str


def verdict(
    request: Request, server: Callable[[], Server], peer: Callable[[str], Peer], names: Iterable[str]
) -> Verdict:
    """Starts one system after the other, and compares their pictures of the request."""
    with closing(Ours(server())) as ours:
        (reference,) = ours.pictures([request])
    pictures: dict[str, Pixels] = {}
    for name in names:
        with closing(peer(name)) as process:
            try:
                (pictures[name],) = process(worker.pictures, [request])
            except PeerCrashed as crash:
                return Verdict(False, str(crash))
    return judge(request, reference, pictures)


def judge(request: Request, ours: Pixels, theirs: dict[str, Pixels]) -> Verdict:
    """Whether all pictures (height, width, 3) are the same one, and show something."""
    if ours.std() < LEAST_SPREAD:
        return Verdict(False, f"{request}: a flat picture, of standard deviation {ours.std():.1f}, proves nothing")
    far = {name: difference(ours, picture) for name, picture in theirs.items()}
    equal = {
        name: most <= MOST or (name == "genai" and request.model in INT8 and mean <= MOST_MEAN)
        for name, (most, mean) in far.items()
    }
    text = ", ".join(f"{name} {most}/255 (mean {mean:.1f})" for name, (most, mean) in far.items())
    return Verdict(all(equal.values()), f"{request}, f32: largest difference {text}")


def difference(a: Pixels, b: Pixels) -> tuple[int, float]:
    """The largest difference of any channel of any pixel, and the mean; 255 for pictures of different sizes."""
    if a.shape != b.shape:
        return 255, 255.0
    far = np.abs(a.astype(int) - b)
    return int(far.max()), float(far.mean())


def decibels(a: Pixels, b: Pixels) -> float:
    """The PSNR of 8-bit pictures; infinite for equal ones."""
    error = float(np.square(a.astype(np.float64) - b).mean())
    return float(10 * np.log10(255**2 / error)) if error else float("inf")
