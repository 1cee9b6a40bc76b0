"""Draws with what was quantized the pictures that calibration drew before, and tells how far they are from those.

`python -m safelight_server.export.likeness JSON` is a process of its own; the JSON has the fields of Order.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from safelight_server.arrays import Pixels
from safelight_server.compare.quality import psnr, ssim
from safelight_server.model_folder import model_config
from safelight_server.models import surroundings
from safelight_server.models.registry import Registry

from . import pictures
from .calibration import EXACT
from .work import OnProgress, main

MOST_PSNR = 99.0  # what equal pictures count as: JSON has no infinity


@dataclass(frozen=True)
class Order:
    """Draw with the model in `folder` what calibration drew, and write what was found to `output`."""

    folder: str
    references: str  # the folder that `calibration` wrote to
    output: str  # a file of JSON
    prompts: str | None = None  # as calibration had them
    sizes: Sequence[int | Sequence[int]] | None = None  # likewise
    int8: Mapping[str, str] = field(default_factory=dict)  # what is quantized: another order where it changes


def run(order: Order, on_progress: OnProgress) -> None:
    """Writes the likeness; progress counts pictures. Raises JobError for a network that fails."""
    references = [np.load(path) for path in sorted(Path(order.references, "pictures").glob("*.npy"))]
    drawn = asyncio.run(_draw(order, len(references), on_progress))
    Path(order.output).write_text(json.dumps(likeness(references, drawn), indent=1) + "\n", encoding="utf-8")


def likeness(references: Sequence[Pixels], drawn: Sequence[Pixels]) -> dict[str, Any]:
    """PSNR in dB and SSIM of pictures against their references, the median and the worst; and the processor."""
    decibels = [min(psnr(a, b), MOST_PSNR) for a, b in zip(references, drawn, strict=True)]
    likenesses = [ssim(a, b) for a, b in zip(references, drawn, strict=True)]
    return {
        "count": len(drawn),
        "psnr": {"median": round(median(decibels), 2), "worst": round(min(decibels), 2)},
        "ssim": {"median": round(median(likenesses), 4), "worst": round(min(likenesses), 4)},
        "processor": surroundings.processor(EXACT.name),
    }


async def _draw(order: Order, count: int, on_progress: OnProgress) -> list[Pixels]:
    config = model_config.read(Path(order.folder))
    model = await Registry(max_edge=pictures.MAX_EDGE).load("model", config, EXACT)
    sizes = pictures.fitting_sizes(order.sizes, model.info.limits, config)
    judged = pictures.judged(config, sizes[0], pictures.read_prompts(order.prompts))
    found = []
    for trajectory in judged[:count]:
        found.append(await pictures.draw(model, trajectory, lambda: None))
        on_progress(len(found), count)
    return found


if __name__ == "__main__":
    sys.exit(main(Order, run))
