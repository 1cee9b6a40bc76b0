"""A text to token ids: cut to what a CLIP encoder reads at once, or in as many weighted chunks as it takes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from tokenizers import Regex as Pattern
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from safelight_server.errors import LoadError

from . import prompt_chunks
from .prompt_chunks import Chunk, Token
from .prompt_syntax import pieces_of

START, END, COMMA = "<|startoftext|>", "<|endoftext|>", ",</w>"


class PromptTokenizer:
    """A checkpoint's tokenizer, which cuts and pads to `max_tokens`."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._start, self._end, *_, self._pad = tokenizer.encode("").ids
        self._comma = tokenizer.token_to_id(COMMA)

    @property
    def max_tokens(self) -> int:
        """Of one chunk, with its start and its end."""
        return int(self._tokenizer.truncation["max_length"])

    @property
    def chunk_size(self) -> int:
        """Tokens of a chunk that are the text's own."""
        return self.max_tokens - 2

    def literal(self, text: str) -> list[Chunk]:
        """The text as it stands, in one chunk."""
        return [Chunk(tuple(self._tokenizer.encode(text).ids))]

    def excess(self, text: str) -> int:
        """How many tokens of `text` do not fit into one chunk, and are cut."""
        return sum(part.special_tokens_mask.count(0) for part in self._tokenizer.encode(text).overflowing)

    def weighted(self, prompt: str) -> list[Chunk]:
        """The prompt read as `prompt_syntax` has it. Raises BadWeight."""
        return [self._framed(chunk) for chunk in self._packed(prompt)]

    def count(self, prompt: str) -> int:
        """How many tokens `weighted` makes of it, with those that fill up a chunk before the next. Raises BadWeight."""
        return prompt_chunks.count(self._packed(prompt), self.chunk_size)

    def _packed(self, prompt: str) -> list[list[Token]]:
        return prompt_chunks.pack(self._tokens(prompt), self.chunk_size, self._comma)

    def _tokens(self, prompt: str) -> Iterator[Token | None]:
        for piece in pieces_of(prompt):
            if piece is None:
                yield None
                continue
            whole = self._tokenizer.encode(piece.text, add_special_tokens=False)
            for part in (whole, *whole.overflowing):
                for id in part.ids[: sum(part.attention_mask)]:
                    yield Token(id, piece.weight)

    def _framed(self, chunk: Sequence[Token]) -> Chunk:
        padding = self.chunk_size - len(chunk)
        ids = (self._start, *(token.id for token in chunk), self._end, *[self._pad] * padding)
        if all(token.weight == 1 for token in chunk):
            return Chunk(ids)
        return Chunk(ids, (1.0, *(token.weight for token in chunk), 1.0, *[1.0] * padding))


def load_tokenizer(folder: Path) -> PromptTokenizer:
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
    return PromptTokenizer(tokenizer)


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
