"""Rewrites one graph in INT8, by NNCF.

`python -m safelight_server.export.quantize JSON` is a process of its own; the JSON has the fields of Order. Between two
passes the graph is written and read again, so that its weights are mapped from a file while it runs: a pass needs most
memory then.
"""

from __future__ import annotations

import gc
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

from .work import OnProgress, main

os.environ.setdefault("NNCF_CI", "1")  # NNCF reads it while it is imported, and then sends no reports of its use
import nncf
from nncf.quantization.range_estimator import RangeEstimatorParametersSet

# A CPU is no faster at attention with its inputs in INT8; it only rounds them. Some graphs have no such node.
ATTENTION: dict[str, Any] = {"types": ["ScaledDotProductAttention"], "validate": False}
# The modules of the convolutions whose rounding shows most in a picture; of several with one name, the last one.
ENDS = {"unet": ("conv_in", "conv_out", "conv_shortcut"), "vae_decoder": ("post_quant_conv", "conv_in", "conv_out")}
OFF = {"convolution": -1.0, "matmul": -1.0}  # SmoothQuant's alphas

# The MatMuls whose inputs come from prompts and timesteps. A few of these values are far larger than all others, which
# INT8 cannot hold together; and with few rows they would gain no time. So only their weights become INT8.
WIDE = re.compile(r"attn2\.to_[kv]/|time_emb|add_embedding|cond_proj")

Pass = Callable[[Any], Any]  # from a graph to a changed graph


class Order(NamedTuple):
    """Rewrite a graph in its place."""

    graph: str  # its openvino_model.xml
    mode: str  # a key of MODES
    part: str = "unet"  # or "vae_decoder"
    inputs: str | None = None  # the folder of samples that `calibration` wrote
    smooth_quant: Mapping[str, float] | None = None  # SmoothQuant's alphas of "convolution" and "matmul"; None: without
    bias_correction: bool = False
    subset: int = 100  # samples, at most


class Layers(NamedTuple):
    """Names of a graph's nodes: all convolutions and MatMuls, and those of ENDS and of WIDE among them."""

    convolutions: set[str]
    products: set[str]
    ends: set[str]
    wide: set[str]


class Samples:
    """Inputs of the graph, read from their files one by one; each that is read counts as progress of all passes.

    Raises LoadError for an order without samples.
    """

    def __init__(self, order: Order, on_progress: OnProgress) -> None:
        if order.inputs is None:
            raise LoadError(f"inputs must name the samples for mode {order.mode}, not null")
        folder = Path(order.inputs) / order.part
        paths = sorted(folder.glob("*.npz"))
        if not paths:
            raise LoadError(f"inputs must be what calibration wrote, and there are no samples in {folder}")
        # At random: samples that are evenly spaced would be of the same steps.
        chosen = np.random.default_rng(0).permutation(len(paths))[: order.subset]
        self._paths, self._done, self.passes = [paths[place] for place in sorted(chosen)], 0, 1
        self._on_progress = on_progress

    def __len__(self) -> int:
        return len(self._paths)

    def dataset(self, graph: Any) -> Any:
        """The samples as NNCF takes them, in the types of the graph's inputs."""
        types = {name: port.element_type.to_dtype() for port in graph.inputs for name in port.names}

        def load(path: Path) -> dict[str, Any]:
            self._on_progress(self._done, self.passes * len(self))
            self._done += 1
            with np.load(path) as sample:
                # The rows of a sample take turns: two tell little more than one, and need twice the memory.
                row = self._done % len(next(iter(sample.values())))
                return {name: sample[name][row : row + 1].astype(types[name]) for name in sample.files}

        return nncf.Dataset(self._paths, load)


def full(order: Order, layers: Layers, on_progress: OnProgress) -> list[Pass]:
    """Weights and activations of all layers that can take it; SmoothQuant before (Xiao et al. 2022), if ordered."""
    samples = Samples(order, on_progress)
    alphas = {layer: alpha for layer, alpha in (order.smooth_quant or {}).items() if alpha >= 0}
    samples.passes = len(alphas) + 1
    return [
        # Convolutions and MatMuls in passes of their own: SmoothQuant holds the weights of all its layers in memory.
        *(
            _quantize_layers(order, samples, nncf.IgnoredScope(patterns=[".*"]), {layer: alpha})
            for layer, alpha in alphas.items()
        ),
        *([_compress_weights(layers.convolutions | layers.products - layers.wide)] if layers.wide else []),
        _quantize_layers(order, samples, nncf.IgnoredScope(sorted(layers.ends | layers.wide), **ATTENTION)),
    ]


def hybrid(order: Order, layers: Layers, on_progress: OnProgress) -> list[Pass]:
    """Weights and activations of the convolutions, weights alone of the MatMuls."""
    samples = Samples(order, on_progress)
    return [
        _compress_weights(layers.convolutions),
        _quantize_layers(order, samples, nncf.IgnoredScope(sorted(layers.ends | layers.products), **ATTENTION)),
    ]


def weights(order: Order, layers: Layers, on_progress: OnProgress) -> list[Pass]:
    """Weights alone: half the size, hardly faster, the picture hardly changed. It needs no samples."""
    return [_compress_weights(layers.ends)]


MODES: Mapping[str, Callable[[Order, Layers, OnProgress], list[Pass]]] = {
    "ptq": full,
    "hybrid": hybrid,
    "weights": weights,
}


def _compress_weights(left: Collection[str]) -> Pass:
    """A pass that stores weights in INT8, except those of the nodes in `left`."""
    return lambda graph: nncf.compress_weights(graph, ignored_scope=nncf.IgnoredScope(names=sorted(left)))


def _quantize_layers(order: Order, samples: Samples, ignored: Any, alphas: Mapping[str, float] = OFF) -> Pass:
    """A pass that puts weights and activations into INT8, except in the scope `ignored`."""
    options = nncf.AdvancedQuantizationParameters(
        disable_bias_correction=not order.bias_correction,
        smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(**{**OFF, **alphas}),
        # The range of all samples, not the mean of their ranges: those of early and late steps differ much.
        activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
    )
    return lambda graph: nncf.quantize(
        graph,
        samples.dataset(graph),
        subset_size=len(samples),
        model_type=nncf.ModelType.TRANSFORMER if order.part == "unet" else None,
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=ignored,
        advanced_parameters=options,
    )


def run(order: Order, on_progress: OnProgress) -> None:
    """Rewrites the graph; progress counts samples. Raises LoadError for a graph, a mode or samples that do not fit."""
    nncf.set_log_level(logging.ERROR)
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):  # NNCF prints progress bars
        _run(order, on_progress)


def _run(order: Order, on_progress: OnProgress) -> None:
    for name, value, known in (("mode", order.mode, MODES), ("part", order.part, ENDS)):
        if value not in known:
            raise LoadError(f"{name} must be one of {', '.join(known)}, not {value!r}")
    path = Path(order.graph)
    passes = MODES[order.mode](order, _layers(ov.Core().read_model(path), path, order.part), on_progress)
    with TemporaryDirectory(dir=path.parent) as folder:
        written = path
        for place, change in enumerate(passes):
            read, written = written, Path(folder) / f"{place}.xml"
            ov.save_model(change(ov.Core().read_model(read)), written)
            gc.collect()
        for end in (".bin", ".xml"):
            written.with_suffix(end).replace(path.with_suffix(end))
    on_progress(1, 1)


def _layers(graph: Any, path: Path, part: str) -> Layers:
    ops = [(op.get_type_name(), op.get_friendly_name()) for op in graph.get_ops()]
    convolutions, products = ({name for op, name in ops if op == wanted} for wanted in ("Convolution", "MatMul"))
    ends = set()
    for wanted in ENDS[part]:
        same = [name for name in convolutions if re.search(rf"(^|\.){wanted}/", name)]
        if not same:
            raise LoadError(f"{path}: must have a Convolution of the module {wanted}, as Optimum Intel names it")
        ends.add(max(same, key=_place))
    return Layers(convolutions, products, ends, {name for name in products if WIDE.search(name)})


def _place(name: str) -> tuple[str, list[int]]:
    """A key that sorts nodes as the UNet runs them: down blocks, then up blocks, by their numbers."""
    parts = name.split("/")[0].split(".")
    return " ".join(part for part in parts if part.endswith("_blocks")), [int(part) for part in parts if part.isdigit()]


if __name__ == "__main__":
    sys.exit(main(Order, run))
