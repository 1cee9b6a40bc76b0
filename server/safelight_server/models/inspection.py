"""Reads a model's graphs and tokenizers as loading does, and compiles nothing: whether it could be loaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openvino as ov

from safelight_server.diffusion.prompt_tokenizer import load_tokenizer
from safelight_server.errors import LoadError
from safelight_server.model_folder.model_config import ModelConfig

from . import fitting
from .graph_checks import check_unet, edge_multiple, text_outputs


def parts(config: ModelConfig) -> tuple[str, ...]:
    """The networks that a model has, the largest first."""
    tiny = ("vae_tiny_decoder",) if config.has_tiny_decoder else ()
    return ("unet", *config.encoders, "vae_decoder", "vae_encoder", *tiny)


def weights(config: ModelConfig) -> dict[Path, int]:
    """The bytes of each file of weights. Models that share a file name the same one."""
    files = (config.graph(part).with_suffix(".bin").resolve() for part in parts(config))
    return {file: file.stat().st_size for file in files}


def inspect(config: ModelConfig) -> None:
    """Raises LoadError for the first graph or tokenizer that loading would refuse."""
    core = ov.Core()
    for part in parts(config):
        graph, path = read_graph(core, config, part), config.graph(part)
        if part == "unet":
            check_unet(graph, config)
            edge_multiple(graph, config)
        elif part in config.encoders:
            text_outputs(graph, path)
            load_tokenizer(config.tokenizer(part))


def read_graph(core: ov.Core, config: ModelConfig, part: str) -> Any:
    """The graph of a part, fitted to what a pipeline gives it. Raises LoadError for one that cannot be."""
    path = config.graph(part)
    with explained(path):
        return fitting.fit(core.read_model(path), part, path)


@contextmanager
def explained(path: Path, on: str = "") -> Iterator[None]:
    """What OpenVINO raises over this graph is a LoadError with the line that says most. `on`: a device that said it."""
    try:
        yield
    except RuntimeError as error:
        raise LoadError(f"{path}: OpenVINO{f' on {on}' if on else ''} says: {_last_line(error)}") from None


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
