"""The peers by name: which module runs one, what it reads, and how it is set up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple


class Kind(NamedTuple):
    """`reads` is the field of a `folders.Model` that it draws from. `settings` come on top of those that all get."""

    module: str
    reads: Literal["peers", "checkpoint", "single"]
    settings: Mapping[str, str] = {}


TORCH, SDCPP = "diffusers_torch", "sdcpp"
KINDS: Mapping[str, Kind] = {
    "genai": Kind("genai", "peers"),
    "optimum": Kind("optimum", "peers"),
    "torch-f32": Kind(TORCH, "checkpoint", {"DTYPE": "float32"}),
    "torch-f32-compiled": Kind(TORCH, "checkpoint", {"DTYPE": "float32", "COMPILE": "default"}),
    "torch-bf16": Kind(TORCH, "checkpoint", {"DTYPE": "bfloat16"}),
    "torch-bf16-compiled": Kind(TORCH, "checkpoint", {"DTYPE": "bfloat16", "COMPILE": "default"}),
    "sdcpp-f16": Kind(SDCPP, "single", {"TYPE": "f16"}),
    "sdcpp-q8_0": Kind(SDCPP, "single", {"TYPE": "q8_0"}),
}
PEERS = ("genai", "optimum")  # read the very graphs that we serve, and are part of every row
OTHERS = tuple(name for name in KINDS if name not in PEERS)  # read the weights that those were made of
EXACT = "torch-f32"  # of the others, the one whose pictures are held against ours
