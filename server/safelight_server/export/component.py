"""Converts one part of a checkpoint, in a process that gives all its memory back when it ends.

Optimum Intel traces and converts; what it takes 14 GB for is done here in half, since only this part's weights are
there, mapped and in 16 bits, and since the picture that the graph is traced with is small.
"""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openvino as ov
import torch
from optimum.exporters.openvino.convert import export_pytorch, get_diffusion_models_for_export_ext
from optimum.intel import OVConfig

from safelight_server.errors import LoadError

from . import checkpoint, lora, tiny
from .work import main

# The edges of what is traced, where Optimum asks for them: by their configurations, and by its own measure. SDXL's
# UNet would see a picture of 1024 pixels otherwise, and keep all that it makes of it.
CONFIGURED, MEASURED = {"unet": 16, "vae": 64}, 16
GRAPHS = {"vae": ("vae_encoder", "vae_decoder")}


@dataclass(frozen=True)
class Order:
    """`part` of the checkpoint in `folder`, its weights in `files`, to sub-folders of `output`."""

    folder: str
    part: str
    files: list[str]
    output: str
    half: bool
    bytes: int  # what is to be written, about
    lora: str | None = None
    lora_scale: float = 1.0


def convert(order: Order, told: Callable[[int, int], None]) -> None:
    if order.part == "vae_tiny":
        tiny.convert(Path(order.folder), Path(order.output), order.half)
        return
    dtype = torch.float16 if order.half else torch.float32
    files = [Path(path) for path in order.files]
    pipeline = _pipeline(Path(order.folder), order.part, files, dtype)
    if order.lora:
        lora.fuse(pipeline.unet, Path(order.lora), order.lora_scale)
    for part, edge in CONFIGURED.items():
        getattr(pipeline, part).register_to_config(sample_size=edge)
    graphs = get_diffusion_models_for_export_ext(pipeline)[1]
    with _watched(Path(order.output), order.bytes, told):
        for name in GRAPHS.get(order.part, (order.part,)):
            module, config = graphs[name]
            _export(module, config, Path(order.output) / name, order.half)
            shutil.copyfile(Path(order.folder) / order.part / "config.json", Path(order.output) / name / "config.json")
    if order.part.startswith("text_encoder"):
        tokenizer = order.part.replace("text_encoder", "tokenizer")
        getattr(pipeline, tokenizer).save_pretrained(Path(order.output) / tokenizer)


def _pipeline(folder: Path, part: str, files: list[Path], dtype: torch.dtype) -> Any:
    try:
        return checkpoint.pipeline(folder, part, files, dtype)
    except (OSError, ValueError, RuntimeError, LookupError, TypeError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise LoadError(f"{folder / part}: its weights and config.json do not fit: {' '.join(lines[:2])}") from error


def _export(module: Any, config: Any, folder: Path, half: bool) -> None:
    folder.mkdir(parents=True)
    export_pytorch(
        module,
        config,
        folder / "openvino_model.xml",
        ov_config=OVConfig(dtype="fp16" if half else "fp32"),
        input_shapes={"height": MEASURED, "width": MEASURED},
        patch_16bit_model=half,
        library_name="diffusers",
    )
    try:
        ov.Core().read_model(folder / "openvino_model.xml")  # a full disk is not told by those who write
    except RuntimeError:
        raise LoadError(f"{folder}: could not be written whole; is the disk full?") from None


class _watched:
    """Tells how many bytes lie in a folder, while they are written."""

    def __init__(self, folder: Path, total: int, told: Callable[[int, int], None]) -> None:
        self._folder, self._total, self._told = folder, total, told
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._stop.wait(1.0):
            written = sum(path.stat().st_size for path in self._folder.rglob("*.bin"))
            self._told(min(written, self._total), self._total)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()


if __name__ == "__main__":
    sys.exit(main(Order, convert))
