"""Rewrites one graph in INT8, by NNCF, and leaves in floating point what was measured to lose most.

`python -m safelight_server.export.quantize JSON` is a process of its own; the JSON has the fields of Order. Between two
passes the graph is written and read again, so that its weights are mapped from a file while it runs: a pass needs most
memory then.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import openvino as ov

from safelight_server.errors import LoadError

from . import sensitivity, switches
from .int8 import CALIBRATED, PARTS, RECORD
from .passes import FITTING, MODES, Order, Samples, layers_of, quiet
from .work import OnProgress, main

GRAPHS = tuple(graph for graphs in PARTS.values() for graph in graphs)
CHECKED = 4  # samples of their own size that the graph is run on at last


def run(order: Order, on_progress: OnProgress) -> None:
    """Rewrites the graph; progress counts samples. Raises LoadError for a graph, a mode or samples that do not fit."""
    quiet()
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):  # NNCF prints progress bars
        _run(order, on_progress)


def _run(order: Order, on_progress: OnProgress) -> None:
    for name, value, known in (("mode", order.mode, MODES), ("part", order.part, GRAPHS)):
        if value not in known:
            raise LoadError(f"{name} must be one of {', '.join(known)}, not {value!r}")
    path, samples = Path(order.graph), Samples(order, on_progress) if order.mode in CALIBRATED else None
    passes = MODES[order.mode](order, layers_of(ov.Core().read_model(path)), samples)
    with TemporaryDirectory(dir=path.parent) as name:
        paths = [path, *(Path(name) / f"{place}.xml" for place in range(len(passes)))]
        for change, read, written in zip(passes, paths, paths[1:], strict=False):
            ov.save_model(change(ov.Core().read_model(read)), written)
            gc.collect()
        record: dict[str, Any] = {"mode": order.mode}
        if samples is not None:
            record |= _choose(order, paths, samples)
        for end in (".bin", ".xml"):
            paths[-1].with_suffix(end).replace(path.with_suffix(end))
    path.with_name(RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    on_progress(1, 1)


def _choose(order: Order, paths: list[Path], samples: Samples) -> dict[str, Any]:
    """Takes out of the last graph what loses most, into one more, and tells what was measured."""
    original, last = paths[0], paths[-1]
    used = samples.some(ov.Core().read_model(original), CHECKED)
    if not switches.find(ov.Core().read_model(last)):
        return _checked(order, original, last, used)

    def on_measured(done: int, total: int) -> None:
        samples.on_share(FITTING + (1 - FITTING) * done / total)

    choice = sensitivity.choose(last, paths[-2], used, order.part, on_measured)
    gc.collect()
    graph = ov.Core().read_model(last)
    switches.take_out(graph, ov.Core().read_model(paths[-2]), [one.rounding.name for one in choice.kept])
    paths.append(last.with_name("chosen.xml"))
    ov.save_model(graph, paths[-1])
    return {
        "roundings": len(choice.measured),
        "kept": [_told(one) for one in choice.kept],
        "kept_work": round(sum(one.rounding.work for one in choice.kept), 4),
        "error_without_choice": round(choice.every, 5),
        **_checked(order, original, paths[-1], used),
    }


def _checked(order: Order, original: Path, made: Path, samples: Sequence[Any]) -> dict[str, Any]:
    """The relative error of what the graph gives, on this processor."""
    true = sensitivity.run(ov.Core().read_model(original), samples, order.part)
    found = sensitivity.run(ov.Core().read_model(made), samples, order.part)
    return {"error": round(sensitivity.relative(found, true), 5)}


def _told(one: sensitivity.Measured) -> dict[str, Any]:
    rounding = one.rounding
    return {
        "name": rounding.name,
        "kind": rounding.kind,
        "work": round(rounding.work, 5),
        "error": float(f"{one.error:.2g}"),
    }


if __name__ == "__main__":
    sys.exit(main(Order, run))
