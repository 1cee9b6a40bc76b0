"""Reads a LoRA's file into layers: whose weights each changes, by which tensors, and how strongly. Loads no tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from safelight_server.errors import LoadError
from safelight_server.export import headers
from safelight_server.export.headers import Header

from . import alphas, kinds, layouts, names
from .names import Targets


@dataclass(frozen=True)
class Layer:
    """What a file says of one module."""

    part: str  # unet, text_encoder or text_encoder_2
    module: str  # its name there
    kind: kinds.Kind
    keys: Mapping[str, str]  # the tensors' names in the file, by what they are: "down", "up"
    ratio: float | None  # alpha/rank; None: the file's tensor "alpha" says the alpha
    rank: int | None


def layers(path: Path, parts: Mapping[str, Targets]) -> list[Layer]:
    """All layers of a file, for a checkpoint with these parts.

    Raises LoadError, one line, for a file that is no LoRA, for one whose tensors fit no module, and for what cannot be
    fused. No tensor is left out.
    """
    head = headers.read(path)
    found = [_layer(head, *place, keys, parts) for place, keys in _places(head, parts).items()]
    if not found:
        raise LoadError(f"{path}: holds no LoRA: it has no tensors")
    return found


def _places(head: Header, parts: Mapping[str, Targets]) -> dict[tuple[str, str], dict[str, str]]:
    """The tensors of each module: their names, by what they are."""
    if refused := layouts.not_fused(list(head.shapes)):
        raise LoadError(f"{head.path}: holds {refused[1]}, which cannot be fused into SDXL: {refused[0]}")
    known = {part: names.aliases(targets) for part, targets in parts.items()}
    places: dict[tuple[str, str], dict[str, str]] = {}
    for key in head.shapes:
        stem, role = layouts.role_of(key) or _no_lora(head, key)
        keys = places.setdefault(_place(head, key, stem, known), {})
        if role in keys:
            raise LoadError(f"{head.path}: {keys[role]} and {key} are the same tensor of the same layer")
        keys[role] = key
    return places


def _no_lora(head: Header, key: str) -> tuple[str, str]:
    if not any(layouts.role_of(other) for other in head.shapes):
        raise LoadError(f"{head.path}: holds no LoRA: none of its {len(head.shapes)} weights has a name of one: {key}")
    raise LoadError(f"{head.path}: {key} is no tensor of a LoRA that is known, and none is left out")


def _place(head: Header, key: str, stem: str, known: Mapping[str, names.Aliases]) -> tuple[str, str]:
    parts, rest = names.parts_of(stem)
    found = [(part, known[part][rest]) for part in parts if rest in known.get(part, {})]
    if len(found) == 1:
        return found[0]
    if found:
        raise LoadError(f"{head.path}: {key} fits {' and '.join(part for part, _ in found)}; its name must say which")
    raise LoadError(
        f"{head.path}: was made for another model: {key} is for no layer of this checkpoint's "
        f"{' or '.join(part for part in parts if part in known) or 'parts, which have no ' + parts[0]}"
    )


def _layer(head: Header, part: str, module: str, keys: dict[str, str], parts: Mapping[str, Targets]) -> Layer:
    shapes = {role: head.shapes[key] for role, key in keys.items()}
    first = next(iter(keys.values()))
    try:
        kind = kinds.kind_of(shapes)
        made, rank = kind.makes(shapes), kind.rank(shapes)
        ratio = _ratio(head, part, module, keys, parts, rank)
    except LookupError as error:
        raise LoadError(f"{head.path}: {first}: the layer has no {str(error.args[0])!r} beside it") from None
    except ValueError as error:
        raise LoadError(f"{head.path}: {first}: {error}") from None
    weight = parts[part][module]
    wanted = (weight[0], prod(weight[1:]))
    if kind.name != "bias" and made != wanted:
        raise LoadError(
            f"{head.path}: was made for another model: {first} changes {made[0]} x {made[1]} numbers, "
            f"and {part}.{module} has {wanted[0]} x {wanted[1]}"
        )
    for role in {"magnitude", "diff_b", "up_bias"} & shapes.keys():
        if prod(shapes[role]) not in (weight[0], *weight[1:2]):
            raise LoadError(f"{head.path}: {keys[role]} must have {weight[0]} numbers, not {prod(shapes[role])}")
    return Layer(part, module, kind, keys, ratio, rank)


def _ratio(
    head: Header, part: str, module: str, keys: Mapping[str, str], parts: Mapping[str, Targets], rank: int | None
) -> float | None:
    """alpha/rank: of the layer itself, or of PEFT's configuration, or of kohya's training, or else 1."""
    if rank is None:
        return 1.0
    if rank == 0:
        raise ValueError("its rank must be 1 or more, not 0")
    if "alpha" in keys:
        if prod(head.shapes[keys["alpha"]]) != 1:
            raise ValueError(f"{keys['alpha']} must be one number")
        return None
    configs = alphas.configs(head)
    for config in (configs.get(part), configs.get("")):
        if config and (ratio := alphas.from_config(config, module, rank)) is not None:
            return ratio
    alpha = alphas.from_training(head.metadata, convolution=prod(parts[part][module][2:]) > 1)
    return 1.0 if alpha is None else alpha / rank
