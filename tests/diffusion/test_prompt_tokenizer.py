"""Token ids against transformers' CLIPTokenizer, from either form that a checkpoint's tokenizer comes in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safelight_server.diffusion.prompt_tokenizer import load_tokenizer
from safelight_server.errors import LoadError

PROMPTS = [
    "",
    "a red apple",
    "  Two   SPACES\tand a\nnewline ",
    "don't they're we'll, 3 cats & 42 dogs!",
    "Äpfel 和 🍎 e\u0301 ﬁ",
    "apple " * 90,
    "<|endoftext|> in the middle",
]


@pytest.fixture(params=["tokenizer.json", "vocab.json"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    from support import tiny_pipelines

    tokenizer = tiny_pipelines.tokenizer(pad="!")
    tokenizer.save_pretrained(tmp_path)
    if request.param == "vocab.json":
        (tmp_path / "tokenizer.json").unlink()
        vocabulary, merges = tiny_pipelines.vocabulary()
        (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
        lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
        (tmp_path / "merges.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("prompt", PROMPTS)
def test_ids_are_those_of_transformers(prompt: str, folder: Path) -> None:
    from support import tiny_pipelines

    theirs = tiny_pipelines.tokenizer(pad="!")(prompt, padding="max_length", max_length=77, truncation=True).input_ids
    (ours,) = load_tokenizer(folder).literal(prompt)
    assert ours == (tuple(theirs), None)


def test_says_how_much_is_cut(folder: Path) -> None:
    assert load_tokenizer(folder).excess("a red apple") == 0
    assert load_tokenizer(folder).excess("apple " * 90) == 90 - 75


def test_a_broken_tokenizer_is_refused_in_one_line(folder: Path) -> None:
    config = folder / "tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"pad_token": "<nothing>"}))
    with pytest.raises(LoadError, match="'<nothing>' is not in the vocabulary"):
        load_tokenizer(folder)
    config.unlink()
    with pytest.raises(LoadError, match="cannot be read"):
        load_tokenizer(folder)
