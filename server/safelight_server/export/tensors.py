"""Reads the tensors of weight files with little memory: those that are stored as they are wanted stay mapped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors import safe_open

PIECE = 2**30  # after so many bytes a file is closed and opened again, which frees the memory of its pages


def weights(
    files: list[Path], dtype: torch.dtype, wanted: Callable[[str], bool] = lambda name: True
) -> Iterator[tuple[str, torch.Tensor]]:
    """The name and value of every weight that is wanted, in `dtype`.

    A weight that is stored so stays mapped, and takes no memory.
    """
    for path in files:
        if path.suffix != ".safetensors":  # a pickle, if the command allows them; only weights are read from it
            yield from ((name, value.to(dtype)) for name, value in unpickled(path).items() if wanted(name))
            continue
        with safe_open(path, "pt") as file:  # type: ignore[no-untyped-call]
            names = [name for name in file.keys() if wanted(name)]  # noqa: SIM118
        while names:
            read = 0
            with safe_open(path, "pt") as file:  # type: ignore[no-untyped-call]
                while names and read < PIECE:
                    name = names.pop()
                    stored = file.get_tensor(name)
                    read += stored.nbytes if stored.dtype != dtype else 0
                    yield name, stored.to(dtype)


def unpickled(path: Path) -> dict[str, torch.Tensor]:
    """The tensors in a pickle, of which only weights are read: no code that it holds is run."""
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError:  # the format before torch 1.6 cannot be mapped
        stored = torch.load(path, map_location="cpu", weights_only=True)
    stored = stored.get("state_dict", stored)  # so training scripts save it
    return {name: value for name, value in stored.items() if isinstance(value, torch.Tensor)}
