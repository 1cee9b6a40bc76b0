"""Reads the header of a safetensors file: what each tensor is named, and its shape; and whether the file is whole."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path

from safelight_server.errors import LoadError

MOST = 10**8  # bytes; the format's own limit of a header

# How files begin that people have in the place of weights, and what is to be done.
IMPOSTORS = {
    b"version https://git-lfs": "is a pointer of git-LFS, not the file itself: fetch it with `git lfs pull`",
    b"<!doctype html": "is a web page, not weights: the download needs a login, or another address",
    b"<html": "is a web page, not weights: the download needs a login, or another address",
    b"GGUF": "is in the GGUF format; only safetensors can be exported",
}


Shape = tuple[int, ...]


@dataclass(frozen=True)
class Header:
    """What a weight file holds."""

    path: Path
    shapes: dict[str, Shape]  # of each tensor, by its name
    metadata: dict[str, str]
    places: dict[str, tuple[int, int]]  # where the bytes of each tensor begin and end in the file

    @property
    def parameters(self) -> int:
        """How many numbers they are."""
        return sum(map(prod, self.shapes.values()))


def read(path: Path) -> Header:
    """The header of a safetensors file. Raises LoadError, one line, for a file that is none, or not whole."""
    try:
        with path.open("rb") as file:
            refuse_impostor(path, file.read(64))
            file.seek(0)
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, MOST)))
        metadata = header.pop("__metadata__", {})
        end = max((value["data_offsets"][1] for value in header.values()), default=0)
        if path.stat().st_size != 8 + length + end:
            raise ValueError(f"must have {8 + length + end} bytes, not {path.stat().st_size}")
        places = {name: tuple(8 + length + at for at in value["data_offsets"]) for name, value in header.items()}
        shapes = {name: tuple(map(int, value["shape"])) for name, value in header.items()}
        return Header(path, shapes, {str(key): str(value) for key, value in metadata.items()}, places)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, struct.error, RecursionError) as error:
        raise LoadError(f"{path}: is not a whole safetensors file: {error}") from None


def refuse_impostor(path: Path, start: bytes) -> None:
    """Raises LoadError if a file that begins with `start` is something else that is known."""
    for sign, why in IMPOSTORS.items():
        if start.lower().startswith(sign.lower()):
            raise LoadError(f"{path}: {why}")
