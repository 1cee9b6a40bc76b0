"""Holds pictures against each other before anything is timed: in f32, with the same seed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .asked import Asked
from .cases import INT8
from .ours import Ours
from .peers import worker
from .peers.process import KINDS, Peer, PeerCrashed
from .server import Server

Pixels = npt.NDArray[np.uint8]

MOST = 2  # of 255: rounding, at the end of some hundred layers
# openvino-genai's samplers differ from diffusers' by some 1e-4, and the steps of an INT8 graph make more of that: so do
# they in optimum-intel, when its latents are scaled by 1 + 1e-4. Such pictures are held together by their mean.
MOST_MEAN = 2
LEAST_SPREAD = 5  # standard deviation: two flat pictures would be equal whatever the pipelines do


class Verdict(NamedTuple):
    equal: bool
    told: str


def verdict(asked: Asked, server: Callable[[], Server], peer: Callable[[str], Peer]) -> Verdict:
    """Starts one system after the other, for their picture of `asked`."""
    with closing(Ours(server())) as ours:
        (reference,) = ours.pictures([asked])
    pictures: dict[str, Pixels] = {}
    for kind in KINDS:
        with closing(peer(kind)) as process:
            try:
                (pictures[kind],) = process(worker.pictures, [asked])
            except PeerCrashed as crash:
                return Verdict(False, str(crash))
    return judge(asked, reference, pictures)


def judge(asked: Asked, ours: Pixels, theirs: dict[str, Pixels]) -> Verdict:
    """Whether all pictures (height, width, 3) are the same one, and show something."""
    if ours.std() < LEAST_SPREAD:
        return Verdict(False, f"{asked}: a flat picture, of standard deviation {ours.std():.1f}, proves nothing")
    far = {kind: difference(ours, picture) for kind, picture in theirs.items()}
    equal = {
        kind: most <= MOST or (kind == "genai" and asked.model in INT8 and mean <= MOST_MEAN)
        for kind, (most, mean) in far.items()
    }
    told = ", ".join(f"{kind} {most}/255 (mean {mean:.1f})" for kind, (most, mean) in far.items())
    return Verdict(all(equal.values()), f"{asked}, f32: largest difference {told}")


def difference(a: Pixels, b: Pixels) -> tuple[int, float]:
    """The largest of any channel of any pixel, and the mean; 255 for pictures of different sizes."""
    if a.shape != b.shape:
        return 255, 255.0
    far = np.abs(a.astype(int) - b)
    return int(far.max()), float(far.mean())


def decibels(a: Pixels, b: Pixels) -> float:
    """The PSNR of 8-bit pictures; infinite for equal ones."""
    error = float(np.square(a.astype(np.float64) - b).mean())
    return float(10 * np.log10(255**2 / error)) if error else float("inf")
