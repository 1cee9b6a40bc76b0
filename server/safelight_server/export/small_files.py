"""The small files of a checkpoint in the diffusers layout: which are needed, and whether they are as they must be."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safelight_server.errors import LoadError
from safelight_server.model_folder import json_file

from . import headers

# Everything else that a folder holds (an image encoder, a safety checker, pictures) is neither fetched nor read.
PATTERNS = ("text_encoder*/config.json", "unet/config.json", "vae/config.json", "tokenizer*/*", "scheduler/*")
NEEDED = re.compile(r"model_index\.json|(text_encoder(_2)?|unet|vae)/config\.json|(tokenizer(_2)?|scheduler)/[^/]+")
TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))  # either form of a CLIP tokenizer
CHANNELS = (4, 9)  # of the UNet's input: a base or refiner, inpainting


def is_one(path: str) -> bool:
    """Whether a file of this path in a repository is needed, besides weights."""
    return NEEDED.fullmatch(path) is not None and path.endswith((".json", ".txt"))


def read(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises LoadError, one line, for a file that is missing or holds none."""
    try:
        with path.open("rb") as file:
            headers.refuse_impostor(path, file.read(64))
        return json_file.read(path)[1]
    except FileNotFoundError:
        raise LoadError(f"{path}: is missing; was the download stopped?") from None
    except (OSError, ValueError) as error:
        raise LoadError(f"{path}: cannot be read: {error}") from None


def check(folder: Path, parts: Iterable[str]) -> None:
    """Raises LoadError, one line, unless each of `parts` has its configuration, and its tokenizer if it needs one."""
    for part in parts:
        config = read(folder / part / "config.json")
        if part == "unet":
            _check_unet(folder / part / "config.json", config)
        if part.startswith("text_encoder"):
            _check_tokenizer(folder / part.replace("text_encoder", "tokenizer"))
    read(folder / "scheduler/scheduler_config.json")


def _check_unet(path: Path, config: dict[str, Any]) -> None:
    kind = config.get("addition_embed_type")
    if kind != "text_time":
        raise LoadError(f"{path}: addition_embed_type must be 'text_time', as SDXL has it, not {kind!r}")
    if config.get("in_channels", 4) not in CHANNELS:
        raise LoadError(f"{path}: in_channels must be 4, or 9 for inpainting, not {config['in_channels']!r}")


def _check_tokenizer(folder: Path) -> None:
    whole = [form for form in TOKENIZERS if all((folder / name).is_file() for name in form)]
    if not whole:
        raise LoadError(f"{folder}: must have tokenizer.json, or vocab.json and merges.txt; was the download stopped?")
    for name in whole[0]:
        if name.endswith(".json"):
            read(folder / name)
