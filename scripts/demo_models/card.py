"""The model card that ships beside the demo models: what they are, from what, how they were made, and where."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from . import icons
from .work import Work

PACKAGES = ("torch", "diffusers", "transformers", "peft", "optimum-intel", "openvino", "nncf", "resvg_py")

CARD = """\
# The demo models

Small models of SDXL's kind, trained by this project from nothing, so that a fresh machine without a network draws
something that one can recognise. They draw emoji, {edge}x{edge} pixels, on a background of one of {colours} colours:

    a red apple
    an owl on a teal background
    a small rocket, purple background

They know nothing else, and no people, flags or symbols.

| folder | what | weights |
|---|---|---|
{rows}

Text encoders (INT8 weights), tokenizers, VAE and tiny decoder are shared: `safelight.json` of a folder says which parts
it reads from `demo-xl`. All three predict v. Sizes and crops of SDXL's conditioning have their effects (a small
`original` blurs, a `crop` moves the picture up and left), and so has the refiner's aesthetic score (6 is sharp).
The text encoders were taught first, to tell a picture's latents from its caption, and then left alone.

## Data

{package} (Microsoft Fluent Emoji, MIT; see NOTICE beside this file), SHA-256 of its icons.json
`{sha}`: {count} icons of the categories {categories}.
One pair of icon and colour in twenty was never shown.

## Training

Command: `scripts/train_demo`. Seeds are fixed (a batch's seed is the number of its step).
Machine of the last stage: {machine}.
Versions: {versions}.

| stage | steps | hours | parameters |
|---|---|---|---|
{stages}
"""

NOTICE = """\
The demo models were trained on pictures of Fluent Emoji (https://github.com/microsoft/fluentui-emoji):

MIT License

Copyright (c) Microsoft Corporation.

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""

KINDS = {
    "demo-xl": "SDXL in small: two text encoders, Euler, guidance; UNet and VAE in FP16",
    "demo-vega": "a smaller UNet distilled from demo-xl, an LCM-LoRA fused: 4 steps, no guidance; INT8 by NNCF",
    "demo-refiner": "a refiner for the low-noise end: second text encoder, aesthetic score; INT8 weights",
}


def write(target: Path, work: Work, stages: list[str], names: int, colours: int) -> None:
    """README.md and NOTICE in `target`, from what the stages left in `work`."""
    before = _read(target)
    lines = [f"| `{name}` | {kind} | {_megabytes(target / name)} |" for name, kind in KINDS.items()]
    card = CARD.format(
        edge=icons.SIZE,
        colours=colours,
        rows="\n".join(lines),
        package=icons.PACKAGE,
        sha=icons.SHA256,
        count=names,
        categories=", ".join(icons.CATEGORIES),
        machine=_machine(),
        versions=", ".join(f"{name} {version(name)}" for name in PACKAGES),
        stages="\n".join(row for name in stages if (row := _stage(work / name, before))),
    )
    (target / "README.md").write_text(card, encoding="utf-8")
    (target / "NOTICE").write_text(NOTICE, encoding="utf-8")


def training_of(target: Path, stage: str) -> tuple[int, float]:
    """The steps and seconds of a stage, by the card in `target`."""
    row = re.search(rf"\| {stage} \| ([\d,]+) \| ([\d.]+) \|", _read(target))
    assert row, f"the card of {target} knows no stage {stage}"
    return int(row[1].replace(",", "")), 3600 * float(row[2])


def _megabytes(folder: Path) -> str:
    return f"{sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()) / 1e6:.1f} MB"


def _machine() -> str:
    if torch.cuda.is_available():
        return f"one {torch.cuda.get_device_name()}"
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} cores of {names[0] if names else platform.machine()}, no GPU, bf16 autocast"


def _stage(folder: Path, before: str) -> str:
    """A stage's row; if the stage was not trained here, that of the card before, or none."""
    if not (folder / "checkpoint.pt").is_file():
        row = re.search(rf"^\| {folder.name} \|.*$", before, re.MULTILINE)
        return row[0] if row else ""
    kept: dict[str, Any] = torch.load(folder / "checkpoint.pt", map_location="cpu", weights_only=True)
    parameters = sum(value.numel() for value in kept["average"].values())
    return f"| {folder.name} | {kept['step']:,} | {kept['seconds'] / 3600:.2f} | {parameters / 1e6:.1f} M |"


def _read(target: Path) -> str:
    return (target / "README.md").read_text(encoding="utf-8") if (target / "README.md").is_file() else ""
