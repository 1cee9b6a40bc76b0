"""Captions as the UNets read them: every caption of the data set, encoded once."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from tqdm import tqdm

from . import fit
from .captions import COLOURS
from .dataset import Dataset
from .text import FEATURES, LENGTH, WIDTHS, Encoders, Tokenizers
from .work import Work

PHRASINGS = 3  # captions of each scene


@dataclass(frozen=True)
class Prompts:
    """bfloat16 features (captions, LENGTH, FEATURES) and pooled (captions, width).

    Scene i has the captions from i * PHRASINGS on; after all scenes come the `blank` ones: nothing, colours alone.
    """

    features: torch.Tensor
    pooled: torch.Tensor
    blank: int


def load(work: Work, data: Dataset, tokenizers: Tokenizers, encoders: Encoders) -> Prompts:
    """The prompts of all captions; they are encoded once, into `work`."""
    choice = random.Random(2)
    captions = [data.caption(i, choice) for i in range(len(data.scenes)) for _ in range(PHRASINGS)]
    blank = len(captions)
    captions += ["", *(f"{colour} background" for colour in COLOURS)]
    kept = work / "prompts.pt"
    if not kept.is_file():
        torch.save(_encode(captions, tokenizers, encoders), kept.with_suffix(".partial"))
        kept.with_suffix(".partial").rename(kept)
    features, pooled = torch.load(kept, weights_only=True)
    return Prompts(features, pooled, blank)


@torch.no_grad()
def _encode(captions: list[str], tokenizers: Tokenizers, encoders: Encoders) -> tuple[torch.Tensor, torch.Tensor]:
    features = torch.empty(len(captions), LENGTH, FEATURES, dtype=torch.bfloat16)
    pooled = torch.empty(len(captions), WIDTHS[1], dtype=torch.bfloat16)
    for start in tqdm(range(0, len(captions), 256), desc="captions", unit="batch"):
        part = slice(start, start + 256)
        with torch.autocast(fit.DEVICE.type, torch.bfloat16):
            features[part], pooled[part] = encoders(*tokenizers(captions[part]))
    return features, pooled
