"""Fuses a LoRA into the weights of one part, and checks after each layer that it has changed as the file says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from safelight_server.errors import LoadError

from . import deltas, reading
from .names import Targets, targets_of
from .reading import Layer

Change = tuple[str, torch.Tensor]  # "weight" or "bias" of a module, and its new value in 32 bits


def fuse(module: Any, path: Path, scale: float, part: str, others: Mapping[str, Any]) -> None:
    """See `safelight_server.export.lora.fuse`."""
    targets = {name: _targets(value) for name, value in {**others, part: module}.items()}
    layers = [layer for layer in reading.layers(path, targets) if layer.part == part]
    with safe_open(path, "pt") as file, torch.no_grad():  # type: ignore[no-untyped-call]
        for layer in layers:
            tensors = {role: file.get_tensor(key).float() for role, key in layer.keys.items()}
            _check_finite(tensors, layer, path)
            target = module.get_submodule(layer.module)
            for name, value in list(_changes(target, layer, tensors, scale, path)):
                _put(target, name, value, f"{path}: {next(iter(layer.keys.values()))}")


def _targets(module: Any) -> Targets:
    return targets_of({name: tuple(value.shape) for name, value in module.state_dict().items()})


def _check_finite(tensors: deltas.Tensors, layer: Layer, path: Path) -> None:
    for role, value in tensors.items():
        if not torch.isfinite(value).all():
            raise LoadError(f"{path}: {layer.keys[role]} must be finite numbers, and some are not")


def _changes(target: Any, layer: Layer, tensors: deltas.Tensors, scale: float, path: Path) -> Iterator[Change]:
    ratio = layer.ratio
    if ratio is None:
        ratio = float(tensors["alpha"]) / (layer.rank or 1)
    strength = scale * ratio
    if layer.kind.name != "bias":
        weight = target.weight.float()
        weight = weight + strength * deltas.delta(layer.kind.name, tensors, weight.shape)
        if "magnitude" in tensors:
            older = layer.keys["magnitude"].endswith(".dora_scale")
            weight = deltas.decomposed(weight, tensors["magnitude"], may_be_by_column=older)
        yield "weight", weight
    for role, by in (("diff_b", scale), ("up_bias", strength)):
        if role in tensors:
            if target.bias is None:
                raise LoadError(f"{path}: {layer.keys[role]} changes a bias, and {layer.part}.{layer.module} has none")
            yield "bias", target.bias.float() + by * tensors[role].flatten()


def _put(target: Any, name: str, value: torch.Tensor, where: str) -> None:
    """Gives a parameter its new value, and reads back that what was added to it is what was asked for."""
    parameter = getattr(target, name)
    before = parameter.float().clone()
    parameter.data = value.to(parameter.dtype)
    kept = getattr(target, name).float()
    if not torch.isfinite(kept).all():
        raise LoadError(f"{where}: makes numbers that are too large for {parameter.dtype}; use --weights f32")
    kind = torch.finfo(parameter.dtype)
    bound = kind.eps * value.abs() + kind.smallest_normal
    if not (((kept - before) - (value - before)).abs() <= 2 * bound + 1e-7 * before.abs()).all():
        raise LoadError(f"{where}: what was added to the weights is not what the file says")
