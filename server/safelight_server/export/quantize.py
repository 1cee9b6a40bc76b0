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
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import openvino as ov

from safelight_server.errors import LoadError

os.environ.setdefault("NNCF_CI", "1")  # read as it is imported: it tells nobody what it did
import nncf  # noqa: E402

SMOOTH_QUANT = {"convolution": 0.15, "matmul": 0.6}
EVERYTHING = nncf.IgnoredScope(patterns=[".*"])

Pass = Callable[[Any], Any]  # a graph, changed


class Task(NamedTuple):
    """`graph` is openvino_model.xml of a `part`, unet or vae_decoder; `inputs` a folder that `calibration` wrote."""

    graph: str
    mode: str  # a key of MODES
    part: str = "unet"
    inputs: str | None = None
    smooth_quant: Mapping[str, float] | None = None  # alphas, a negative one for none; None: ours
    bias_correction: bool = False
    subset: int = 100  # samples, at most


class Samples:
    """Inputs of the graph, read from their files one by one; tells how far all passes are."""

    def __init__(self, folder: Path, subset: int) -> None:
        paths = sorted(folder.glob("*.npz"))
        if not paths:
            raise LoadError(f"inputs must be a folder that calibration wrote, and {folder} has no samples")
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
                return {name: sample[name].astype(types[name]) for name in sample.files}

        return nncf.Dataset(self._paths, load)


def progress(done: int, total: int) -> None:
    print(f"progress {done} {total}", file=sys.__stdout__, flush=True)  # NNCF's own bars go where stdout does


# ---- the ways to INT8: each gives the passes that a graph goes through ----


def full(task: Task, kept: Sequence[str]) -> list[Pass]:
    """Weights and activations of all but the first and last convolutions; SmoothQuant for each kind of layer first."""
    samples = _samples(task)
    alphas = SMOOTH_QUANT | dict(task.smooth_quant or {})
    kinds = [kind for kind, alpha in alphas.items() if alpha >= 0 and task.part == "unet"]
    samples.expect(len(kinds) + 1)
    smoothing = [_quantizing(task, samples, EVERYTHING, {kind: alphas[kind]}) for kind in kinds]
    return [*smoothing, _quantizing(task, samples, nncf.IgnoredScope(names=list(kept)))]


def hybrid(task: Task, kept: Sequence[str]) -> list[Pass]:
    """Weights alone of what is a MatMul; weights and activations of the convolutions."""
    samples = _samples(task)
    convolutions = nncf.IgnoredScope(types=["Convolution"])
    return [
        lambda graph: nncf.compress_weights(graph, ignored_scope=convolutions),
        _quantizing(task, samples, nncf.IgnoredScope(names=list(kept), types=["MatMul"])),
    ]


def weights(task: Task, kept: Sequence[str]) -> list[Pass]:
    """Weights alone: half the size, hardly faster, hardly another picture; needs no samples."""
    return [nncf.compress_weights]


MODES: Mapping[str, Callable[[Task, Sequence[str]], list[Pass]]] = {"ptq": full, "hybrid": hybrid, "weights": weights}


def _samples(task: Task) -> Samples:
    if task.inputs is None:
        raise LoadError(f"inputs must name the samples for mode {task.mode}")
    return Samples(Path(task.inputs), task.subset)


def _quantizing(task: Task, samples: Samples, ignored: Any, alphas: Mapping[str, float] | None = None) -> Pass:
    off = {"convolution": -1.0, "matmul": -1.0}
    options = nncf.AdvancedQuantizationParameters(
        disable_bias_correction=not task.bias_correction,
        smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(**off | dict(alphas or {})),
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
    passes = MODES[task.mode](task, ends(ov.Core().read_model(path), path, task.part))
    with TemporaryDirectory(dir=path.parent) as folder:
        written = path
        for place, change in enumerate(passes):
            read, written = written, Path(folder) / f"{place}.xml"
            ov.save_model(change(ov.Core().read_model(read)), written)
            gc.collect()
        for end in (".bin", ".xml"):
            written.with_suffix(end).replace(path.with_suffix(end))
    progress(1, 1)


def ends(graph: Any, path: Path, part: str) -> list[str]:
    """The names of the convolutions that a picture shows the most: the first, the last, a UNet's last shortcut."""
    modules = {
        op.get_friendly_name().split("/")[0]: op.get_friendly_name()
        for op in graph.get_ops()
        if op.get_type_name() == "Convolution"
    }
    found = []
    for wanted in ("conv_in", "conv_out", *(["conv_shortcut"] if part == "unet" else [])):
        same = [module for module in modules if module.split(".")[-1] == wanted]
        if not same:
            raise LoadError(f"{path}: must have a Convolution of the module {wanted}, as Optimum Intel names it")
        found.append(modules[max(same, key=_place)])
    return found


def _place(module: str) -> tuple[str, list[int]]:
    """Sorts modules as the UNet runs them: blocks down, then up, each by its numbers."""
    parts = module.split(".")
    return next((part for part in parts if part.endswith("_blocks")), ""), [int(part) for part in parts if part.isdigit()]


def main() -> None:
    nncf.set_log_level(logging.ERROR)
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            run(Task(**json.loads(sys.argv[1])))
    except LoadError as error:
        sys.exit(f"safelight-server: {error}")


if __name__ == "__main__":
    main()
