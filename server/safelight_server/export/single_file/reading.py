"""Reads one part of a single file: its weights under the names of diffusers, their shapes, their digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from safelight_server.errors import LoadError

from . import contents

BLOCK = 2**22  # bytes read at once


def weights(path: Path, part: str, config: Mapping[str, Any], dtype: Any) -> dict[str, Any]:
    """The weights of a part as tensors of torch in `dtype`. `config`: its config.json.

    Raises ValueError, LookupError or TypeError for weights that lack something.
    """
    from safelight_server.export.tensors import weights as read

    from .convert import prefixes, to_diffusers

    names = contents.read(path, pickles=True).shapes
    starts = prefixes(part, names)
    return to_diffusers(part, dict(read([path], dtype, lambda name: _is_of(name, starts, names))), config)


def shapes(path: Path, part: str, config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of what `weights` gives. No weight is read. Raises LoadError for weights that lack something."""
    import torch

    from .convert import prefixes, to_diffusers

    found = contents.read(path, pickles=True).shapes
    starts = prefixes(part, found)
    own = {name: shape for name, shape in found.items() if _is_of(name, starts, found)}
    try:
        empty = {name: torch.empty(shape, device="meta") for name, shape in own.items()}
        return {name: tuple(value.shape) for name, value in to_diffusers(part, empty, config).items()}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise LoadError(f"{path}: its {part} is not of SDXL's kind: {error}") from None


def _is_of(name: str, starts: tuple[str, ...], names: Iterable[str]) -> bool:
    """Whether a weight belongs to the part whose names begin so; of a file that is a part alone, all do."""
    return name.startswith(starts) or not any(other.startswith(starts) for other in names)


def digests(path: Path, parts: Iterable[str]) -> dict[str, str]:
    """The SHA-256 of the file, and of what each part's weights are in it: files that have a part in common agree."""
    with path.open("rb") as file:
        found = {path.name: hashlib.file_digest(file, "sha256").hexdigest()}
    header = contents.read(path, pickles=True)
    for part in parts:
        found[f"{part}/weights"] = _digest(path, part, header.places) if header.places else found[path.name]
    return found


def _digest(path: Path, part: str, places: Mapping[str, tuple[int, int]]) -> str:
    from .convert import prefixes

    starts = prefixes(part, places)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for name in sorted(name for name in places if _is_of(name, starts, places)):
            begin, end = places[name]
            digest.update(f"{name} {end - begin} ".encode())
            file.seek(begin)
            for size in (min(BLOCK, end - at) for at in range(begin, end, BLOCK)):
                digest.update(file.read(size))
    return digest.hexdigest()
