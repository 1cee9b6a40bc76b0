"""Rewrites one graph in INT8, by NNCF.

`python -m safelight_server.export.quantize JSON`, a process of its own; Task is what the JSON says. The work goes in
passes, and between two of them the graph is written and read anew: so weights are mapped from a file whenever a pass
runs the graph, which is when most memory is needed.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Collection, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import openvino as ov

from safelight_server.errors import LoadError

os.environ.setdefault("NNCF_CI", "1")  # read as it is imported: it tells nobody what it did
import nncf
from nncf.quantization.range_estimator import RangeEstimatorParametersSet

ATTENTION = "ScaledDotProductAttention"
# The modules of the convolutions that a picture shows the most; of several, the last one.
ENDS = {"unet": ("conv_in", "conv_out", "conv_shortcut"), "vae_decoder": ("post_quant_conv", "conv_in", "conv_out")}
OFF = {"convolution": -1.0, "matmul": -1.0}  # SmoothQuant's alphas

# What these read is far out of the common range at some tokens or timesteps, and eight bits for all of them are too
# few; they have few rows, so that floating point costs little. Only their weights become INT8.
WIDE = re.compile(r"attn2\.to_[kv]$|time_emb|add_embedding|cond_proj")

Pass = Callable[[Any], Any]  # a graph, changed


class Task(NamedTuple):
    """`graph` is openvino_model.xml of a `part`, unet or vae_decoder; `inputs` what `calibration` wrote."""

    graph: str
    mode: str  # a key of MODES
    part: str = "unet"
    inputs: str | None = None
    smooth_quant: Mapping[str, float] | None = None  # alphas of "convolution" and "matmul"; left out: none
    bias_correction: bool = False
    subset: int = 100  # samples, at most


class Layers(NamedTuple):
    """Names of nodes."""

    names: set[str]  # of all
    convolutions: set[str]
    ends: set[str]
    wide: set[str]  # MatMuls


class Samples:
    """Inputs of the graph, read from their files one by one; tells how far all passes are."""

    def __init__(self, folder: Path, subset: int) -> None:
        paths = sorted(folder.glob("*.npz"))
        if not paths:
            raise LoadError(f"inputs must be what calibration wrote, and there are no samples in {folder}")
        # At random: samples that are evenly spaced would be of the same steps.
        chosen = np.random.default_rng(0).permutation(len(paths))[:subset]
        self._paths, self._done, self._passes = [paths[place] for place in sorted(chosen)], 0, 1

    def __len__(self) -> int:
        return len(self._paths)

    def expect(self, passes: int) -> None:
        self._passes = passes

    def dataset(self, graph: Any) -> Any:
        types = {name: port.element_type.to_dtype() for port in graph.inputs for name in port.names}

        def load(path: Path) -> dict[str, Any]:
            progress(self._done, self._passes * len(self))
            self._done += 1
            with np.load(path) as sample:
                # One row of them: as many ranges are seen with twice the samples, and half the memory is needed.
                row = self._done % len(next(iter(sample.values())))
                return {name: sample[name][row : row + 1].astype(types[name]) for name in sample.files}

        return nncf.Dataset(self._paths, load)


def progress(done: int, total: int) -> None:
    print(f"progress {done} {total}", file=sys.__stdout__, flush=True)  # NNCF's own bars go where stdout does


# ---- the ways to INT8: each gives the passes that a graph goes through ----


def full(task: Task, layers: Layers) -> list[Pass]:
    """Weights and activations of all layers that take it; SmoothQuant before, where it is asked for."""
    samples = _samples(task)
    alphas = {kind: alpha for kind, alpha in (task.smooth_quant or {}).items() if alpha >= 0}
    samples.expect(len(alphas) + 1)
    return [
        *(_smoothing(task, samples, kind, alpha) for kind, alpha in alphas.items()),
        *([_compressing(layers.names - layers.wide)] if layers.wide else []),
        _quantizing(task, samples, layers.ends | layers.wide),
    ]


def hybrid(task: Task, layers: Layers) -> list[Pass]:
    """Weights alone of what is a MatMul; weights and activations of the convolutions."""
    samples = _samples(task)
    return [
        _compressing(layers.convolutions),
        _quantizing(task, samples, layers.ends | (layers.names - layers.convolutions)),
    ]


def weights(task: Task, layers: Layers) -> list[Pass]:
    """Weights alone: half the size, hardly faster, hardly another picture; needs no samples."""
    return [_compressing(layers.ends)]


MODES: Mapping[str, Callable[[Task, Layers], list[Pass]]] = {"ptq": full, "hybrid": hybrid, "weights": weights}


def _samples(task: Task) -> Samples:
    if task.inputs is None:
        raise LoadError(f"inputs must name the samples for mode {task.mode}, not null")
    return Samples(Path(task.inputs) / task.part, task.subset)


def _compressing(left: Collection[str]) -> Pass:
    """Weights of all layers but those."""
    return lambda graph: nncf.compress_weights(graph, ignored_scope=nncf.IgnoredScope(names=sorted(left)))


def _smoothing(task: Task, samples: Samples, kind: str, alpha: float) -> Pass:
    """SmoothQuant alone, and of one kind of layer, for it holds all of their weights in memory."""
    return _nncf(task, samples, nncf.IgnoredScope(patterns=[".*"]), {kind: alpha})


def _quantizing(task: Task, samples: Samples, left: Collection[str]) -> Pass:
    """Weights and activations of all layers but those."""
    # The CPU's attention takes no INT8: what is quantized for it is only rounded.
    return _nncf(task, samples, nncf.IgnoredScope(names=sorted(left), types=[ATTENTION], validate=False), {})


def _nncf(task: Task, samples: Samples, ignored: Any, alphas: Mapping[str, float]) -> Pass:
    options = nncf.AdvancedQuantizationParameters(
        disable_bias_correction=not task.bias_correction,
        smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(**{**OFF, **alphas}),
        # All that any step meets, not the mean over the steps: early and late ones differ much.
        activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
    )
    return lambda graph: nncf.quantize(
        graph,
        samples.dataset(graph),
        subset_size=len(samples),
        model_type=nncf.ModelType.TRANSFORMER if task.part == "unet" else None,
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=ignored,
        advanced_parameters=options,
    )


# ---- one graph ----


def run(task: Task) -> None:
    """Raises LoadError for a graph, a mode or samples that do not fit."""
    if task.mode not in MODES:
        raise LoadError(f"mode must be one of {', '.join(MODES)}, not {task.mode!r}")
    path = Path(task.graph)
    passes = MODES[task.mode](task, _layers(ov.Core().read_model(path), path, task.part))
    with TemporaryDirectory(dir=path.parent) as folder:
        written = path
        for place, change in enumerate(passes):
            read, written = written, Path(folder) / f"{place}.xml"
            ov.save_model(change(ov.Core().read_model(read)), written)
            gc.collect()
        for end in (".bin", ".xml"):
            written.with_suffix(end).replace(path.with_suffix(end))
    progress(1, 1)


def _layers(graph: Any, path: Path, part: str) -> Layers:
    of: dict[str, dict[str, str]] = {"Convolution": {}, "MatMul": {}}  # names by module
    for op in graph.get_ops():
        if op.get_type_name() in of:
            of[op.get_type_name()][op.get_friendly_name().split("/")[0]] = op.get_friendly_name()
    convolutions, products = of["Convolution"], of["MatMul"]
    ends = set()
    for wanted in ENDS[part]:
        same = [module for module in convolutions if module.split(".")[-1] == wanted]
        if not same:
            raise LoadError(f"{path}: must have a Convolution of the module {wanted}, as Optimum Intel names it")
        ends.add(convolutions[max(same, key=_place)])
    wide = {name for module, name in products.items() if WIDE.search(module)}
    return Layers({*convolutions.values(), *products.values()}, set(convolutions.values()), ends, wide)


def _place(module: str) -> tuple[str, list[int]]:
    """Sorts modules as the UNet runs them: blocks down, then up, each by its numbers."""
    parts = module.split(".")
    return next((part for part in parts if part.endswith("_blocks")), ""), [
        int(part) for part in parts if part.isdigit()
    ]


def main() -> None:
    nncf.set_log_level(logging.ERROR)
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            run(Task(**json.loads(sys.argv[1])))
    except LoadError as error:
        sys.exit(f"safelight-server: {error}")


if __name__ == "__main__":
    main()
