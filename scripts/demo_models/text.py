"""The two CLIP text encoders, trained to know how things look: from a caption they must predict the picture's latents.

A UNet that reads such features has little left to look up: it learns several times as fast as one whose encoders
start from nothing, and the encoders can stay as they are, so that every caption is encoded once.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import nn
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from . import fit, sheets
from .captions import COLOURS, caption
from .dataset import Dataset
from .work import Work

RECIPE = fit.Recipe(steps=2000, rate=1e-3, decay=0.4)
BATCH = 128
LENGTH = 32  # tokens of a prompt, where CLIP's own has 77
MERGES = 2000
WIDTHS = (96, 160)  # of the two encoders; the second's pooled output has its own width
FEATURES = sum(WIDTHS)


class Encoders(nn.Module):
    """Both, as SDXL uses them: ids (batch, LENGTH) of each to features (batch, LENGTH, FEATURES) and the pooled."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.first = CLIPTextModel(_config(vocabulary, WIDTHS[0], "quick_gelu"))
        self.second = CLIPTextModelWithProjection(_config(vocabulary, WIDTHS[1], "gelu"))

    def forward(self, ids: torch.Tensor, ids_2: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        first = self.first(ids, output_hidden_states=True)
        second = self.second(ids_2, output_hidden_states=True)
        return torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1), second.text_embeds


def _config(vocabulary: int, width: int, activation: str) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=4,
        num_attention_heads=width // 32,
        projection_dim=width,
        max_position_embeddings=LENGTH,
        hidden_act=activation,
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
    )


class Tokenizers:
    """The two tokenizers: one vocabulary; as in SDXL the first pads with the end token and the second with `!`."""

    def __init__(self, names: list[str]) -> None:
        vocabulary, merges = _vocabulary(names)
        self.first, self.second = (
            CLIPTokenizer(vocab=vocabulary, merges=merges, pad_token=pad, model_max_length=LENGTH)
            for pad in ("<|endoftext|>", "!")
        )

    def __len__(self) -> int:
        return len(self.first.get_vocab())

    def __call__(self, captions: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        ids, ids_2 = (
            tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids
            for tokenizer in (self.first, self.second)
        )
        return ids.to(fit.DEVICE), ids_2.to(fit.DEVICE)


def _vocabulary(names: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """CLIP's vocabulary, cut down: every byte, alone and at a word's end; merges of the captions'; two specials."""
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.pre_tokenizer = pre_tokenizers.Whitespace()
    choice = random.Random(0)
    lines = [caption(name, colour, choice, small) for name in names for colour in COLOURS for small in (False, True)]
    trainer = trainers.BpeTrainer(vocab_size=MERGES + 64, end_of_word_suffix="</w>", show_progress=False)
    learner.train_from_iterator(lines, trainer)
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = letters + [letter + "</w>" for letter in letters] + [a + b for a, b in merges]
    return {word: i for i, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}, merges


class Reader(nn.Module):
    """Predicts latents from features, by attention from 64 places, and from the pooled vector; for training only."""

    def __init__(self, width: int = 192) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.randn(64, width) * 0.5)
        self.features = nn.Linear(FEATURES, width)
        self.blocks = nn.ModuleList(
            nn.TransformerDecoderLayer(width, 6, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(2)
        )
        self.out = nn.Linear(width, 16)
        self.pooled = nn.Linear(WIDTHS[1], 1024)

    def forward(self, features: torch.Tensor, pooled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Two guesses of the latents (batch, 4, 16, 16): from the features and from the pooled vector."""
        places, memory = self.places.expand(len(features), -1, -1), self.features(features)
        for block in self.blocks:
            places = block(places, memory)
        grid = self.out(places).transpose(1, 2).reshape(-1, 16, 8, 8)
        return F.pixel_shuffle(grid, 2), self.pooled(pooled).reshape(-1, 4, 16, 16)


class Taught(nn.Module):
    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.encoders, self.reader = Encoders(vocabulary), Reader()

    def forward(self, ids: torch.Tensor, ids_2: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.reader(*self.encoders(ids, ids_2))


def train(work: Work, data: Dataset, vae: Any) -> tuple[Tokenizers, Encoders]:
    """The tokenizers and the trained encoders."""
    tokenizers = Tokenizers(data.names)
    shown = [
        i for i, scene in enumerate(data.scenes) if scene.crop == (0, 0) and scene.original[0] == scene.time_ids()[4]
    ]

    def loss(model: nn.Module, generator: torch.Generator) -> torch.Tensor:
        choice = random.Random(int(torch.randint(2**31, (), generator=generator)))
        rows = choice.choices(shown, k=BATCH)
        wanted = data.latents[rows].to(fit.DEVICE).float()
        by_features, by_pooled = model(*tokenizers([data.caption(row, choice) for row in rows]))
        return F.mse_loss(by_features.float(), wanted) + 0.5 * F.mse_loss(by_pooled.float(), wanted)

    def sheet(model: nn.Module, path: Path) -> None:
        choice = random.Random(7)
        rows = choice.choices(shown, k=12)
        with torch.no_grad():
            guesses = [
                data.latents[rows].to(fit.DEVICE).float(),
                *model(*tokenizers([data.caption(row, choice) for row in rows])),
            ]
            sheets.save(path, [vae.decode(guess / vae.config.scaling_factor).sample for guess in guesses])

    taught = fit.fit("text", work, Taught(len(tokenizers)), RECIPE, loss, sheet)
    return tokenizers, taught.encoders
