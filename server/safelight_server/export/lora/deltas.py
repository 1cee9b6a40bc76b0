"""The sums: what each kind of change adds to a weight, in 32 bits.

Sources: LoRA (Hu et al. 2021), LoHa (Hyeon-Woo et al. 2021), LoKr and the layouts of their tensors (LyCORIS, Yeh et
al. 2023), DoRA (Liu et al. 2024, as PEFT merges it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

Tensors = Mapping[str, torch.Tensor]


def delta(kind: str, tensors: Tensors, shape: torch.Size) -> Any:
    """What a layer adds to a weight of this shape, before alpha/rank and strength."""
    return DELTAS[kind](tensors, shape).reshape(shape)


def decomposed(weight: torch.Tensor, magnitude: torch.Tensor, *, may_be_by_column: bool) -> Any:
    """DoRA: `weight` with the given length of each row; or of each column, as older files of LyCORIS have it."""
    # Those have (1, columns). PEFT's convolutions have (1, rows, 1, 1), which looks alike.
    column = may_be_by_column and magnitude.ndim > 1 and magnitude.shape[0] == 1
    axis = 1 if column and magnitude.numel() == weight.shape[1] else 0
    lengths = weight.transpose(0, axis).flatten(1).norm(dim=1)
    shape = [1] * weight.ndim
    shape[axis] = -1
    return weight * (magnitude.flatten() / lengths).reshape(shape)


def _lora(tensors: Tensors, shape: torch.Size) -> Any:
    down, up = tensors["down"], tensors["up"].flatten(1)
    if "mid" not in tensors:
        return up @ down.flatten(1)
    return torch.einsum("oa,abkl,bi->oikl", up, tensors["mid"], down.flatten(1))


def _core(core: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> Any:
    return torch.einsum("ijkl,ip,jr->prkl", core, a, b)


def _loha(tensors: Tensors, shape: torch.Size) -> Any:
    sides = []
    for n in (1, 2):
        a, b, core = tensors[f"hada_w{n}_a"], tensors[f"hada_w{n}_b"], tensors.get(f"hada_t{n}")
        sides.append(_core(core, a, b) if core is not None else a @ b.flatten(1))
    return sides[0].flatten(1) * sides[1].flatten(1)


def _lokr(tensors: Tensors, shape: torch.Size) -> Any:
    one, two = _lokr_half(tensors, 1), _lokr_half(tensors, 2)
    # A convolution's kernel is in the second half alone; the first has a row and a column for each block.
    one = one.reshape(*one.shape[:2], *[1] * (len(shape) - 2))
    two = two.reshape(two.shape[0], -1, *shape[2:])
    return torch.kron(one, two)


def _lokr_half(tensors: Tensors, n: int) -> Any:
    if f"lokr_w{n}" in tensors:
        return tensors[f"lokr_w{n}"]
    a, b, core = tensors[f"lokr_w{n}_a"], tensors[f"lokr_w{n}_b"], tensors.get(f"lokr_t{n}")
    return a @ b.flatten(1) if core is None else _core(core, a, b)


DELTAS: Mapping[str, Callable[[Tensors, torch.Size], Any]] = {
    "lora": _lora,
    "loha": _loha,
    "lokr": _lokr,
    "diff": lambda tensors, shape: tensors["diff"],
}
