"""What a picture hangs on: written on its receipt, and asked before a drawing goes on from a checkpoint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from safelight_server import __version__
from safelight_server.arrays import Pixels
from safelight_server.diffusion.model_info import ModelInfo
from safelight_server.jobs import Job


def receipt(
    job: Job, seed: int, infos: Sequence[ModelInfo], picture: Pixels, early: int | None = None
) -> dict[str, Any]:
    """The JSON of the contract's Receipt for a picture (height, width, 3) that these models drew."""
    told = {
        job.method: job.recipe | {"seed": seed},
        **job.uploads,
        **surroundings(infos),
        "pixelsSha256": pixels_digest(picture),
    }
    if early is not None:
        told["finishedEarlyAtStep"] = early
    return told | ({"forkedFrom": job.origin} if job.origin else {})


def pixels_digest(picture: Pixels) -> str:
    """SHA-256 of the rows of a picture (height, width, 3), in hexadecimal digits."""
    return hashlib.sha256(picture.tobytes()).hexdigest()


def surroundings(infos: Sequence[ModelInfo]) -> dict[str, Any]:
    """Models, versions and the processor, as a receipt names them."""
    return {
        "models": [_model(info) for info in infos],
        "safelightVersion": __version__,
        "openvinoVersion": infos[0].runtime,
        "processor": infos[0].processor,
    }


def _model(info: ModelInfo) -> dict[str, Any]:
    told = {"name": info.name, "seal": info.seal, "precision": info.precision, "device": info.device}
    more = {"precisions": dict(info.precisions), "surgery": info.surgery}
    return told | {name: value for name, value in more.items() if value}


def hangs_on(infos: Sequence[ModelInfo]) -> str:
    """The same text: a drawing goes on, and its picture is the same to the bit."""
    return json.dumps(surroundings(infos) | {"identity": [info.identity for info in infos]}, sort_keys=True)
