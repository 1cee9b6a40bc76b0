"""JSON files that hold anything, or are no files: reading a folder ends, with a config or a LoadError of one line."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safelight_server.errors import LoadError
from safelight_server.model_folder import model_config

FILES = (
    "model_index.json",
    "unet/config.json",
    "vae_decoder/config.json",
    "scheduler/scheduler_config.json",
    "safelight.json",
)
MANIFEST = {
    "defaults": {"steps": 3, "guidance_scale": 1},
    "latent_rgb": {"matrix": [[0, 0, 0]] * 4, "bias": [0, 0, 0]},
    "shared": {"vae_decoder": "model"},
}
NO_FILES: dict[str, Callable[[Path], Any]] = {
    "folder": Path.mkdir,
    "pipe": os.mkfifo,
    "loop": lambda path: path.symlink_to(path.name),
    "device": lambda path: path.symlink_to("/dev/zero"),
    "empty": Path.touch,
    "no text": lambda path: path.write_bytes(b'{"a": "\xff\xfe"}'),
    "nested": lambda path: path.write_bytes(b'{"a":' * 100_000),
    "long number": lambda path: path.write_bytes(b'{"steps": ' + b"9" * 5000 + b"}"),
    "not a number": lambda path: path.write_bytes(b"NaN"),
    "list": lambda path: path.write_bytes(b"[]"),
    "marked": lambda path: path.write_bytes(b"\xef\xbb\xbf{}"),
    "large": lambda path: path.write_bytes(b"{" + b" " * 2**24 + b"}"),
}
DEEP: Any = []
for _ in range(300):
    DEEP = [DEEP]
NUMBERS = (0, -1, 0.5, 1e999, -1e999, float("nan"), 10**400)
TEXTS = ("", "x\ny\0", "x" * 300, "\ud800")
NESTS: tuple[Any, ...] = ([], {}, [None], {"a": []}, [10**400], [1e999] * 4, [[1, 2], [3]], ["x"] * 4, DEEP)
ODD = (None, True, *NUMBERS, *TEXTS, *NESTS)


@pytest.fixture
def folder(folders: dict[str, str], tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(folders["base"], tmp_path / "model"))
    (folder / "safelight.json").write_text(json.dumps(MANIFEST))
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(LoadError) as raised:
        model_config.read(folder)
    return str(raised.value)


@pytest.mark.parametrize("case", NO_FILES)
@pytest.mark.parametrize("path", FILES)
def test_what_is_no_json_is_refused(path: str, case: str, folder: Path) -> None:
    (folder / path).unlink()
    NO_FILES[case](folder / path)
    message = refusal(folder)
    assert str(folder / path) in message
    assert len(message.splitlines()) == 1


def places(value: Any) -> list[tuple[Any, ...]]:
    """The ways to all values in nested objects."""
    inner = value.items() if isinstance(value, dict) else ()
    return [(key, *rest) for key, below in inner for rest in [(), *places(below)]]


def replaced(value: Any, place: tuple[Any, ...], by: Any) -> Any:
    return by if not place else value | {place[0]: replaced(value[place[0]], place[1:], by)}


@pytest.mark.parametrize("path", FILES)
def test_values_of_any_kind_are_refused_or_taken(path: str, folder: Path) -> None:
    values = json.loads((folder / path).read_text())
    if path.startswith("vae"):
        values |= {"latents_mean": [0] * 4, "latents_std": [1] * 4}
    refused = 0
    for place in places(values):
        for odd in ODD:
            (folder / path).write_text(json.dumps(replaced(values, place, odd)))
            try:
                model_config.read(folder)
            except LoadError as error:
                refused += 1
                lines = len(str(error).splitlines())
                if lines != 1:
                    raise AssertionError(f"{place} = {odd!r:.40}: {lines} lines") from error
    assert refused > 10


def test_a_json_file_that_is_a_link_to_one_is_read(folder: Path) -> None:
    """As the folders of Hugging Face's cache are."""
    (folder / "unet/config.json").rename(folder.parent / "blob")
    (folder / "unet/config.json").symlink_to(folder.parent / "blob")
    assert model_config.read(folder).kind == "base"
