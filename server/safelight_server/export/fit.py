"""Holds the shapes of all weights against the configurations, before any weight is loaded.

It is a process of its own, since it needs the libraries that the parts' processes need, and their memory.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safelight_server.errors import LoadError

from . import checkpoint, headers, single_file
from .work import OnProgress, main

Shapes = Mapping[str, tuple[int, ...]]
# In the names that older files have, and that the libraries still know.
OLD = (".query.", ".key.", ".value.", ".proj_attn.", "position_ids", ".gamma", ".beta")
SOME = 3  # names that a message lists


@dataclass(frozen=True)
class Order:
    """Check the checkpoint in `folder`, whose parts' weights are in `parts`: lists of files, by the part's name."""

    folder: str
    parts: dict[str, list[str]]
    single: list[str] = field(default_factory=list)  # the parts whose weights are in a single file
    small: str = ""  # changes when the folder's small files do: then the order is another one


def run(order: Order, on_progress: OnProgress) -> None:
    """Raises LoadError, one line, for the first part whose weights are not those of its configuration."""
    folder = Path(order.folder)
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    for done, (part, files) in enumerate(order.parts.items()):
        paths = [Path(path) for path in files]
        if part in order.single:
            found: Shapes = single_file.shapes(paths[0], part, checkpoint.config(folder / part))
        elif all(path.suffix == ".safetensors" for path in paths):
            found = {name: shape for path in paths for name, shape in headers.read(path).shapes.items()}
        else:
            continue  # what a pickle holds is known when it is loaded
        _compare(paths[0], _wanted(folder / part, index[part][1]), found)
        on_progress(done + 1, len(order.parts))


def _wanted(folder: Path, name: str) -> Shapes:
    try:
        module: Any = checkpoint.skeleton(folder, name)
    except (OSError, ValueError, RuntimeError, LookupError, TypeError, AttributeError) as error:
        raise LoadError(f"{folder}/config.json: no {name} can be made of it: {str(error).splitlines()[0]}") from None
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


def _compare(path: Path, wanted: Shapes, found: Shapes) -> None:
    for name in sorted(wanted.keys() & found.keys()):
        if wanted[name] != found[name]:
            raise LoadError(
                f"{path}: does not fit its config.json: {name} must be {list(wanted[name])}, not {list(found[name])}"
            )
    if any(old in name for old in OLD for name in found.keys() - wanted.keys()):
        return
    if missing := sorted(wanted.keys() - found.keys()):
        raise LoadError(f"{path}: does not fit its config.json: it lacks {_list(missing)}")
    if added := sorted(found.keys() - wanted.keys()):
        raise LoadError(f"{path}: does not fit its config.json, which has no {_list(added)}")


def _list(names: list[str]) -> str:
    more = f" and {len(names) - SOME} more" if len(names) > SOME else ""
    return ", ".join(names[:SOME]) + more


if __name__ == "__main__":
    sys.exit(main(Order, run))
