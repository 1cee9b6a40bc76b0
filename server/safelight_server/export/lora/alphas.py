"""How strong a layer's change is: alpha over rank, from the layer itself or from what the file says for all."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from safelight_server.errors import LoadError
from safelight_server.export.headers import Header
from safelight_server.model_folder import json_file

from .names import PARTS

Config = Mapping[str, Any]
# Where diffusers, from 0.34 on, keeps PEFT's configurations: "unet.lora_alpha" and so on.
PACKED = "lora_adapter_metadata"
BESIDE = "adapter_config.json"  # where PEFT keeps its own


def configs(header: Header) -> dict[str, dict[str, Any]]:
    """PEFT's configuration of each part, by the part's name; "" has one that is for all. Raises LoadError."""
    beside = header.path.with_name(BESIDE)
    found: dict[str, dict[str, Any]] = {}
    try:
        if header.path.name.startswith("adapter_model") and beside.is_file():
            found[""] = json_file.read(beside)[1]
        packed = json.loads(header.metadata.get(PACKED, "{}"))
        for key, value in packed.items():
            part, _, name = key.partition(".")
            known = part in PARTS and name
            found.setdefault(part if known else "", {})[name if known else key] = value
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise LoadError(f"{header.path}: its configuration cannot be read: {error}") from None
    return found


def from_config(config: Config, module: str, rank: int) -> float | None:
    """alpha/rank by PEFT's configuration; None where it names no alpha. Raises ValueError for a bad one."""
    value = _of_module(config, "alpha_pattern", module, config.get("lora_alpha"))
    if value is None:
        return None
    alpha = _number("lora_alpha", value)
    return alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank


def _of_module(config: Config, patterns: str, module: str, default: Any) -> Any:
    """What a table of patterns says for a module, read as PEFT reads it: a name's end, or a regular expression."""
    try:
        found = (v for k, v in (config.get(patterns) or {}).items() if re.match(rf"(.*\.)?({k})$", module))
        return next(found, default)
    except re.error as error:
        raise ValueError(f"{patterns}: {error}") from None


def from_training(metadata: Mapping[str, str], convolution: bool) -> float | None:
    """kohya's alpha of the whole training, for a file whose layers have none; None: the file names no number."""
    try:
        arguments = json.loads(metadata.get("ss_network_args", "{}"))
        own = arguments.get("conv_alpha") if convolution and isinstance(arguments, dict) else None
        return _number("ss_network_alpha", own if own is not None else metadata["ss_network_alpha"])
    except (ValueError, LookupError):
        return None  # "Dynamic": then each layer has its own


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str) or not math.isfinite(float(value)):
        raise ValueError(f"{name} must be a number, not {value!r}")
    return float(value)
