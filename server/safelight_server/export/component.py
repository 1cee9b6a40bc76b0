"""Converts one part of a checkpoint, in a process that gives all its memory back when it ends.

Optimum Intel traces and converts. By itself it takes 14 GB for SDXL; here it takes half of that, because only this
part's weights are loaded, mapped and in 16 bits, and because the picture that the graph is traced with is small.
"""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openvino as ov
import torch
from optimum.exporters.openvino.convert import export_pytorch, get_diffusion_models_for_export_ext
from optimum.intel import OVConfig

from safelight_server.errors import LoadError

from . import checkpoint, lora, tiny
from .lora.names import PARTS
from .work import OnProgress, main

# The edges of the picture that a graph is traced with. Optimum takes some from the parts' configurations, and others as
# an option. By default SDXL's UNet would be traced with 1024 pixels, and its intermediate results kept in memory.
CONFIGURED_EDGES, INPUT_EDGE = {"unet": 16, "vae": 64}, 16
GRAPHS = {"vae": ("vae_encoder", "vae_decoder")}


@dataclass(frozen=True)
class Order:
    """Convert `part` of the checkpoint in `folder`, its weights in `files`, into sub-folders of `output`."""

    folder: str
    part: str  # unet, text_encoder, text_encoder_2, vae or vae_tiny
    files: list[str]
    output: str
    half: bool  # store the weights in 16 bits
    bytes: int  # about how many will be written
    single: bool = False  # the weights are in one file, under the names of the original code
    small: str = ""  # changes when the folder's small files do: then the order is another one
    loras: list[tuple[str, float]] = field(default_factory=list)  # files, and how much of each, in this order


def run(order: Order, on_progress: OnProgress) -> None:
    """Writes the part's graphs, configurations and tokenizer; progress counts bytes. Raises LoadError, one line."""
    files = [Path(path) for path in order.files]
    if order.part == "vae_tiny":
        tiny.convert(Path(order.folder), files, Path(order.output), order.half)
        return
    dtype = torch.float16 if order.half else torch.float32
    pipeline = _pipeline(order, files, dtype)
    parts = {name: getattr(pipeline, name, None) for name in PARTS}
    others = {name: module for name, module in parts.items() if module is not None and name != order.part}
    for path, strength in order.loras:
        lora.fuse(parts[order.part], Path(path), strength, order.part, others)
    for part, edge in CONFIGURED_EDGES.items():
        getattr(pipeline, part).register_to_config(sample_size=edge)
    graphs = get_diffusion_models_for_export_ext(pipeline)[1]
    with _watch_size(Path(order.output), order.bytes, on_progress):
        for name in GRAPHS.get(order.part, (order.part,)):
            module, config = graphs[name]
            _export(module, config, Path(order.output) / name, order.half)
            shutil.copyfile(Path(order.folder) / order.part / "config.json", Path(order.output) / name / "config.json")
    if order.part.startswith("text_encoder"):
        tokenizer = order.part.replace("text_encoder", "tokenizer")
        getattr(pipeline, tokenizer).save_pretrained(Path(order.output) / tokenizer)


def _pipeline(order: Order, files: list[Path], dtype: torch.dtype) -> Any:
    folder = Path(order.folder)
    try:
        return checkpoint.pipeline(folder, order.part, files, dtype, single=order.single)
    except (OSError, ValueError, RuntimeError, LookupError, TypeError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise LoadError(
            f"{folder / order.part}: its weights and config.json do not fit: {' '.join(lines[:2])}"
        ) from error


def _export(module: Any, config: Any, folder: Path, half: bool) -> None:
    folder.mkdir(parents=True)
    export_pytorch(
        module,
        config,
        folder / "openvino_model.xml",
        ov_config=OVConfig(dtype="fp16" if half else "fp32"),
        input_shapes={"height": INPUT_EDGE, "width": INPUT_EDGE},
        patch_16bit_model=half,
        library_name="diffusers",
    )
    try:
        # On a full disk, writing a graph raises nothing, but then it cannot be read.
        ov.Core().read_model(folder / "openvino_model.xml")
    except RuntimeError:
        raise LoadError(f"{folder}: could not be written whole; is the disk full?") from None


@contextmanager
def _watch_size(folder: Path, total: int, on_progress: OnProgress) -> Iterator[None]:
    """Calls `on_progress` every second with the bytes of weights that lie in a folder."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(1.0):
            written = sum(path.stat().st_size for path in folder.rglob("*.bin"))
            on_progress(min(written, total), total)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


if __name__ == "__main__":
    sys.exit(main(Order, run))
