"""A text to the UNet's inputs: to token ids, and by one or two CLIP encoders to features and a pooled vector."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Regex as Pattern
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from safelight_server.arrays import Array
from safelight_server.errors import LoadError
from safelight_server.lanes.lane import Lane
from safelight_server.lanes.network import Network
from safelight_server.lanes.ticket import Ticket

START, END = "<|startoftext|>", "<|endoftext|>"


class Embeddings(NamedTuple):
    """What the encoders make of a prompt: features (1, tokens, width), those of all encoders side by side, and the last
    encoder's pooled vector (1, width)."""

    features: Array
    pooled: Array


class TextEncoder:
    """One CLIP text encoder and its tokenizer."""

    def __init__(self, network: Network, tokenizer: Tokenizer) -> None:
        self.network = network
        self._tokenizer = tokenizer

    async def __call__(self, lane: Lane, text: str, ticket: Ticket | None = None) -> tuple[Array, Array | None]:
        """The features before the last layer (1, tokens, width), as SDXL takes them, and maybe the pooled vector."""
        outputs = await lane.run(self.network, {"input_ids": self.ids(text)}, ticket)
        (features,) = (value for name, value in outputs.items() if name.startswith("hidden_states"))
        return features, outputs.get("text_embeds")

    def ids(self, text: str) -> npt.NDArray[np.int64]:
        """Token ids (1, 77): cut or padded to the encoder's length."""
        return np.array([self._tokenizer.encode(text).ids], np.int64)

    def excess(self, text: str) -> int:
        """How many tokens of `text` do not fit and are cut."""
        return sum(part.special_tokens_mask.count(0) for part in self._tokenizer.encode(text).overflowing)

    @property
    def max_tokens(self) -> int:
        return int(self._tokenizer.truncation["max_length"])


def load_tokenizer(folder: Path) -> Tokenizer:
    """CLIP's tokenizer from tokenizer.json, or from vocab.json and merges.txt; cuts and pads as the checkpoint does."""
    try:
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        pad = config.get("pad_token") or END
        pad = pad["content"] if isinstance(pad, dict) else pad
        length = min(int(config.get("model_max_length", 77)), 77)
        fast = folder / "tokenizer.json"
        tokenizer = Tokenizer.from_file(str(fast)) if fast.is_file() else _from_vocabulary(folder, pad)
    except Exception as error:  # tokenizers raises bare Exception
        raise LoadError(f"{folder}: the tokenizer cannot be read: {error}") from None
    pad_id = tokenizer.token_to_id(pad)
    if pad_id is None:
        raise LoadError(f"{folder}/tokenizer_config.json: pad_token {pad!r} is not in the vocabulary")
    tokenizer.enable_truncation(max_length=length)
    tokenizer.enable_padding(pad_id=pad_id, pad_token=pad, length=length)
    return tokenizer


def _from_vocabulary(folder: Path, pad: str) -> Tokenizer:
    """The slow form that older checkpoints have: byte-level BPE whose words end in </w> (Radford et al., 2021)."""
    bpe = models.BPE.from_file(
        str(folder / "vocab.json"), str(folder / "merges.txt"), end_of_word_suffix="</w>", unk_token=END
    )
    tokenizer = Tokenizer(bpe)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Pattern(r"\s+"), " "), normalizers.Lowercase()]
    )
    words = Pattern(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(words, behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    start, end = tokenizer.token_to_id(START), tokenizer.token_to_id(END)
    tokenizer.post_processor = processors.RobertaProcessing(
        sep=(END, end), cls=(START, start), trim_offsets=False, add_prefix_space=False
    )
    # SDXL's second encoder pads with "!", which then is never part of a word.
    tokenizer.add_special_tokens([token for token in (START, END, pad) if tokenizer.token_to_id(token) is not None])
    return tokenizer
