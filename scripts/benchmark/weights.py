"""The weights that a full-size model was made of, for peers that read no graphs: a folder, and one file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .links import link, name_scheduler
from .peers import native

CHECKPOINTS = {"vegart": "vega", "vega-euler": "vega"}  # the INT8 graphs have no weights that torch could read


def find(name: str, ours: Path, models: Path, cache: Path) -> tuple[Path | None, Path | None]:
    """The checkpoint of a model and its single file, made if the cache has none; None for what is not to be had."""
    source = models / CHECKPOINTS.get(name, "")
    if name not in CHECKPOINTS or not source.is_dir():
        return None, None
    checkpoint = cache / f"{name}-checkpoint"
    if not checkpoint.is_dir():
        checkpoint = with_scheduler(source, ours / "scheduler", checkpoint)
    if native.VARIABLE not in os.environ:  # nobody here reads it
        return checkpoint, None
    file = checkpoint.with_name(f"{checkpoint.name}.safetensors")
    return checkpoint, file if file.exists() else write_single(checkpoint, file)


def with_scheduler(source: Path, scheduler: Path, folder: Path) -> Path:
    """The checkpoint, by links, with the scheduler that the graphs are served with."""
    aside = folder.with_name(f".{folder.name}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for part in source.iterdir():
        if part.is_dir():
            link(scheduler if part.name == "scheduler" else part, aside / part.name)
    shutil.copyfile(source / "model_index.json", aside / "model_index.json")
    name_scheduler(aside)
    return aside.rename(folder)


def write_single(checkpoint: Path, file: Path) -> Path:
    """All weights of the checkpoint in one file, in f16, under the names that stable-diffusion.cpp knows."""
    import torch
    from diffusers import StableDiffusionXLPipeline
    from support import original_layout

    pipe = StableDiffusionXLPipeline.from_pretrained(checkpoint, torch_dtype=torch.float16)
    aside = file.with_name(f".{file.name}")
    original_layout.write(pipe, aside)
    return aside.rename(file)
