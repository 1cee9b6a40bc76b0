"""The files of CLIP's tokenizer, which no single file holds and every model of SDXL's kind needs."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path

MERGES = Path(__file__).with_name("clip_merges.txt.gz")
START, END = "<|startoftext|>", "<|endoftext|>"
SIZE = 49408  # tokens
PADS = {"tokenizer": END, "tokenizer_2": "!"}  # what fills up to 77 tokens: with "!" OpenCLIP pads with token 0


def files(name: str) -> dict[str, bytes]:
    """The files of `tokenizer` or `tokenizer_2`, by their paths in a checkpoint."""
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": PADS[name]}
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True, **special}
    return {
        f"{name}/vocab.json": json.dumps(_vocabulary(), ensure_ascii=False).encode(),
        f"{name}/merges.txt": "\n".join(("#version: 0.2", *_merges(), "")).encode(),
        f"{name}/tokenizer_config.json": json.dumps(config, indent=2).encode(),
        f"{name}/special_tokens_map.json": json.dumps(special, indent=2).encode(),
    }


@cache
def _merges() -> tuple[str, ...]:
    return tuple(gzip.decompress(MERGES.read_bytes()).decode("utf-8").splitlines())


def _vocabulary() -> dict[str, int]:
    """Every byte, every byte at the end of a word, what each merge makes, and the two marks: in this order (OpenAI)."""
    letters = _letters()
    words = [*letters, *(letter + "</w>" for letter in letters), *(line.replace(" ", "") for line in _merges())]
    return {word: number for number, word in enumerate([*words, START, END])}


def _letters() -> list[str]:
    """A visible character for each of the 256 bytes: itself, or for those that are not visible one from U+0100 on.

    The order is GPT-2's: first the visible ones.
    """
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(byte) for byte in visible] + [chr(0x100 + i) for i in range(256 - len(visible))]
