"""The passes that put a graph into INT8, by mode, and the samples that they are fitted to; NNCF is met here."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from safelight_server.errors import LoadError

from .work import OnProgress

os.environ.setdefault("NNCF_CI", "1")  # NNCF reads it while it is imported, and then sends no reports of its use
import nncf
from nncf.quantization.range_estimator import RangeEstimatorParametersSet

# A CPU is no faster at attention with its inputs in INT8; it only rounds them. Some graphs have no such node.
ATTENTION: dict[str, Any] = {"types": ["ScaledDotProductAttention"], "validate": False}
OFF = {"convolution": -1.0, "matmul": -1.0}  # SmoothQuant's alphas

FITTING, SHARES = 0.5, 1000  # the passes' share of the whole; in how many steps it is told

Pass = Callable[[Any], Any]  # from a graph to a changed graph


class Order(NamedTuple):
    """Rewrite a graph in its place."""

    graph: str  # its openvino_model.xml
    mode: str  # a key of MODES
    part: str = "unet"  # one of GRAPHS
    inputs: str | None = None  # the folder of samples that `calibration` wrote
    smooth_quant: Mapping[str, float] | None = None  # SmoothQuant's alphas of "convolution" and "matmul"; None: without
    bias_correction: bool = False
    subset: int = 100  # samples, at most


class Layers(NamedTuple):
    """Names of a graph's nodes: all convolutions and MatMuls; `ends` are the convolutions that read an input or give an
    output, whose rounding shows most in a picture."""

    convolutions: set[str]
    products: set[str]
    ends: set[str]


class Samples:
    """Inputs of the graph, read from their files one by one; each that is read counts as progress of all passes, which
    are FITTING of the whole.

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

        def load(path: Path) -> dict[str, Any]:
            self.on_share(self._done / (self.passes * len(self)) * FITTING)
            self._done += 1
            return self._load(path, graph, self._done)

        return nncf.Dataset(self._paths, load)

    def some(self, graph: Any, count: int) -> list[dict[str, Any]]:
        """So many of them, evenly picked."""
        return [self._load(path, graph, place) for place, path in enumerate(self._paths[:: -(-len(self) // count)])]

    def on_share(self, share: float) -> None:
        """So much of the whole is done."""
        self._on_progress(int(share * SHARES), SHARES)

    def _load(self, path: Path, graph: Any, place: int) -> dict[str, Any]:
        types = {name: port.element_type.to_dtype() for port in graph.inputs for name in port.names}
        with np.load(path) as sample:
            # The rows of a sample take turns: two tell little more than one, and need twice the memory.
            row = place % len(next(iter(sample.values())))
            return {name: sample[name][row : row + 1].astype(types[name]) for name in sample.files}


def full(order: Order, layers: Layers, samples: Samples | None) -> list[Pass]:
    """Weights and activations of all layers that can take it; SmoothQuant before (Xiao et al. 2022), if ordered."""
    assert samples is not None, "it is a mode that is calibrated"
    alphas = {layer: alpha for layer, alpha in (order.smooth_quant or {}).items() if alpha >= 0}
    samples.passes = len(alphas) + 1
    return [
        # Convolutions and MatMuls in passes of their own: SmoothQuant holds the weights of all its layers in memory.
        *(
            _quantize_layers(order, samples, nncf.IgnoredScope(patterns=[".*"]), {layer: alpha})
            for layer, alpha in alphas.items()
        ),
        _quantize_layers(order, samples, nncf.IgnoredScope(**ATTENTION)),
    ]


def hybrid(order: Order, layers: Layers, samples: Samples | None) -> list[Pass]:
    """Weights and activations of the convolutions, weights alone of the MatMuls; without convolutions, these alone."""
    if samples is None or not layers.convolutions:
        return weights(order, layers, None)
    return [
        _compress_weights(layers.convolutions),
        _quantize_layers(order, samples, nncf.IgnoredScope(sorted(layers.products), **ATTENTION)),
    ]


def weights(order: Order, layers: Layers, samples: Samples | None) -> list[Pass]:
    """Weights alone: half the size, hardly faster, the picture hardly changed. It needs no samples."""
    return [_compress_weights(layers.ends)]


MODES: Mapping[str, Callable[[Order, Layers, Samples | None], list[Pass]]] = {
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
        # A processor without VNNI adds two products in 16 bits, which overflow if weights have all of their 8.
        overflow_fix=nncf.OverflowFix.ENABLE,
        smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(**{**OFF, **alphas}),
        # The range of all samples, not the mean of their ranges: those of early and late steps differ much.
        activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
    )
    return lambda graph: nncf.quantize(
        graph,
        samples.dataset(graph),
        subset_size=len(samples),
        model_type=None if order.part == "vae_decoder" else nncf.ModelType.TRANSFORMER,
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=ignored,
        advanced_parameters=options,
    )


def layers_of(graph: Any) -> Layers:
    """The layers of a graph, by name."""
    named: dict[str, set[str]] = {"Convolution": set(), "MatMul": set()}
    ends = set()
    for node in graph.get_ops():
        kind, name = node.get_type_name(), node.get_friendly_name()
        if kind in named:
            named[kind].add(name)
        if kind == "Convolution" and (_reads_input(node) or _gives_output(node)):
            ends.add(name)
    return Layers(named["Convolution"], named["MatMul"], ends)


def _reads_input(node: Any) -> bool:
    return bool(node.input_value(0).get_node().get_type_name() == "Parameter")


def _gives_output(node: Any) -> bool:
    """Whether what it makes, with its bias, is what the graph gives."""
    while len(readers := list(node.output(0).get_target_inputs())) == 1:
        node = readers[0].get_node()
        if node.get_type_name() == "Result":
            return True
        if node.get_type_name() != "Add":
            return False
    return False


def quiet() -> None:
    """Has NNCF tell nothing but errors."""
    nncf.set_log_level(logging.ERROR)
