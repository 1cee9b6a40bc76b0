"""Rewrites one graph in INT8, by NNCF.

`python -m safelight_server.export.quantize JSON`, a process of its own; Task is what the JSON says. Between two passes
the graph is written and read anew: weights are mapped from a file whenever the graph runs, when most memory is needed.
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

# A CPU is no faster at attention with its inputs in INT8; it only rounds them. Not every graph has some.
ATTENTION: dict[str, Any] = {"types": ["ScaledDotProductAttention"], "validate": False}
# The modules of the convolutions that a picture shows the most; of several, the last one.
ENDS = {"unet": ("conv_in", "conv_out", "conv_shortcut"), "vae_decoder": ("post_quant_conv", "conv_in", "conv_out")}
OFF = {"convolution": -1.0, "matmul": -1.0}  # SmoothQuant's alphas

# What these read of prompts and timesteps has a few values far out of the others' range. They have few rows, so that
# INT8 saves them no time: only their weights become it.
WIDE = re.compile(r"attn2\.to_[kv]/|time_emb|add_embedding|cond_proj")

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
    """Names of nodes: all convolutions and MatMuls, and those of ENDS and of WIDE among them."""

    convolutions: set[str]
    products: set[str]
    ends: set[str]
    wide: set[str]


class Samples:
    """Inputs of the graph, read from their files one by one; tells how far all passes are."""

    def __init__(self, task: Task) -> None:
        if task.inputs is None:
            raise LoadError(f"inputs must name the samples for mode {task.mode}, not null")
        folder = Path(task.inputs) / task.part
        paths = sorted(folder.glob("*.npz"))
        if not paths:
            raise LoadError(f"inputs must be what calibration wrote, and there are no samples in {folder}")
        # At random: samples that are evenly spaced would be of the same steps.
        chosen = np.random.default_rng(0).permutation(len(paths))[: task.subset]
        self._paths, self._done, self.passes = [paths[place] for place in sorted(chosen)], 0, 1

    def __len__(self) -> int:
        return len(self._paths)

    def dataset(self, graph: Any) -> Any:
        types = {name: port.element_type.to_dtype() for port in graph.inputs for name in port.names}

        def load(path: Path) -> dict[str, Any]:
            progress(self._done, self.passes * len(self))
            self._done += 1
            with np.load(path) as sample:
                # One row, by turns: a sample's two rows tell little more than one, and need twice the memory.
                row = self._done % len(next(iter(sample.values())))
                return {name: sample[name][row : row + 1].astype(types[name]) for name in sample.files}

        return nncf.Dataset(self._paths, load)


def progress(done: int, total: int) -> None:
    print(f"progress {done} {total}", file=sys.__stdout__, flush=True)  # NNCF's own bars go where stdout does


def full(task: Task, layers: Layers) -> list[Pass]:
    """Weights and activations of all layers that take it; SmoothQuant before, where it is asked for."""
    samples = Samples(task)
    alphas = {kind: alpha for kind, alpha in (task.smooth_quant or {}).items() if alpha >= 0}
    samples.passes = len(alphas) + 1
    return [
        # One kind of layer in a pass, for SmoothQuant holds all of their weights in memory.
        *(
            _quantizing(task, samples, nncf.IgnoredScope(patterns=[".*"]), {kind: alpha})
            for kind, alpha in alphas.items()
        ),
        *([_compressing(layers.convolutions | layers.products - layers.wide)] if layers.wide else []),
        _quantizing(task, samples, nncf.IgnoredScope(sorted(layers.ends | layers.wide), **ATTENTION)),
    ]


def hybrid(task: Task, layers: Layers) -> list[Pass]:
    """Weights alone of what is a MatMul; weights and activations of the convolutions."""
    samples = Samples(task)
    return [
        _compressing(layers.convolutions),
        _quantizing(task, samples, nncf.IgnoredScope(sorted(layers.ends | layers.products), **ATTENTION)),
    ]


def weights(task: Task, layers: Layers) -> list[Pass]:
    """Weights alone: half the size, hardly faster, hardly another picture; needs no samples."""
    return [_compressing(layers.ends)]


MODES: Mapping[str, Callable[[Task, Layers], list[Pass]]] = {"ptq": full, "hybrid": hybrid, "weights": weights}


def _compressing(left: Collection[str]) -> Pass:
    return lambda graph: nncf.compress_weights(graph, ignored_scope=nncf.IgnoredScope(names=sorted(left)))


def _quantizing(task: Task, samples: Samples, ignored: Any, alphas: Mapping[str, float] = OFF) -> Pass:
    options = nncf.AdvancedQuantizationParameters(
        disable_bias_correction=not task.bias_correction,
        smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(**{**OFF, **alphas}),
        # The range of all steps, not the mean of their ranges: early and late ones differ much.
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


def run(task: Task) -> None:
    """Raises LoadError for a graph, a mode or samples that do not fit."""
    for name, value, known in (("mode", task.mode, MODES), ("part", task.part, ENDS)):
        if value not in known:
            raise LoadError(f"{name} must be one of {', '.join(known)}, not {value!r}")
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
    ops = [(op.get_type_name(), op.get_friendly_name()) for op in graph.get_ops()]
    convolutions, products = ({name for kind, name in ops if kind == of} for of in ("Convolution", "MatMul"))
    ends = set()
    for wanted in ENDS[part]:
        same = [name for name in convolutions if re.search(rf"(^|\.){wanted}/", name)]
        if not same:
            raise LoadError(f"{path}: must have a Convolution of the module {wanted}, as Optimum Intel names it")
        ends.add(max(same, key=_place))
    return Layers(convolutions, products, ends, {name for name in products if WIDE.search(name)})


def _place(name: str) -> tuple[str, list[int]]:
    """Sorts nodes as the UNet runs them: blocks down, then up, each by its numbers."""
    parts = name.split("/")[0].split(".")
    return " ".join(part for part in parts if part.endswith("_blocks")), [int(part) for part in parts if part.isdigit()]


def main() -> None:
    nncf.set_log_level(logging.ERROR)
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            run(Task(**json.loads(sys.argv[1])))
    except LoadError as error:
        sys.exit(f"safelight-server: {error}")


if __name__ == "__main__":
    main()
