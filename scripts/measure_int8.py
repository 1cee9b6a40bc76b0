"""INT8 on a demo model: makes a floating-point one of it, quantizes that as an export does, and prints the errors."""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from safelight_server import demo
from safelight_server.export import int8, record
from safelight_server.export.passes import MODES

WEIGHTS = ("u1", "i8", "u8")
ARITHMETIC = {"Multiply": np.multiply, "Subtract": np.subtract}


def main() -> None:
    arguments = parser().parse_args()
    whole = arguments.folder / "f32"
    if not whole.is_dir():
        float_copy(demo.FOLDERS[arguments.model], whole)
    made = arguments.folder / "-".join(
        ("int8", *arguments.parts.split(","), *([arguments.mode] * (arguments.mode != "ptq")))
    )
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(whole, made)
    for line in quantize(made, arguments.folder / "samples", arguments.parts, arguments.mode):
        print(line)
    print(f"safelight-server compare {whole} {made} --precision f32")


def float_copy(model: Path, to: Path) -> None:
    """The model in one folder, with nothing in INT8 any more.

    What ships was rounded to INT8: its weights lie on a grid, and would be put back on it without any loss. So each
    gets a random share of the step that it was rounded by, as weights have that were never rounded.
    """
    told = json.loads((model / "safelight.json").read_text(encoding="utf-8"))
    to.mkdir(parents=True)
    for part, owner in told["shared"].items():
        shutil.copytree(model.with_name(owner) / part, to / part)
    shutil.copytree(model, to, dirs_exist_ok=True)
    values = {"defaults": told["defaults"], "latent_rgb": told["latent_rgb"], "shared": {}}
    (to / "safelight.json").write_text(json.dumps(values), encoding="utf-8")
    for path in (*to.glob("text_encoder*/*.xml"), *to.glob("unet/*.xml")):
        graph = ov.Core().read_model(path)
        unrounded(graph)
        aside = path.with_name("aside.xml")
        ov.save_model(graph, aside, compress_to_fp16=False)
        del graph
        for end in (".bin", ".xml"):
            aside.with_suffix(end).replace(path.with_suffix(end))


def unrounded(graph: Any) -> None:
    """Takes all INT8 out of a graph."""
    random = np.random.default_rng(0)
    for node in graph.get_ordered_ops():
        if node.get_type_name() == "FakeQuantize":
            node.output(0).replace(node.input_value(0))
        if node.get_type_name() == "Multiply" and is_weight(node):
            node.output(0).replace(ops.constant(_value(node, random).astype(np.float32)).output(0))
    graph.validate_nodes_and_infer_types()


def is_weight(node: Any) -> bool:
    """Whether a node is made of nothing but a constant in INT8, and what scales it."""
    if node.get_type_name() == "Constant":
        return bool(node.get_element_type().get_type_name() in WEIGHTS)
    return node.get_type_name() in ("Convert", *ARITHMETIC) and is_weight(node.input_value(0).get_node())


def _value(node: Any, random: np.random.Generator | None) -> Any:
    if node.get_type_name() == "Constant":
        data = np.array(node.data, np.float32)
        rounded = random is not None and node.get_element_type().get_type_name() in WEIGHTS
        return data + random.uniform(-0.5, 0.5, data.shape) if random is not None and rounded else data
    first = _value(node.input_value(0).get_node(), random)
    if node.get_type_name() == "Convert":
        return first
    return ARITHMETIC[node.get_type_name()](first, _value(node.input_value(1).get_node(), None))


def quantize(folder: Path, samples: Path, parts: str, mode: str) -> list[str]:
    """Does what an export does after its parts are converted, and gives the lines that it tells."""
    modes = int8.modes(parts, mode)
    _task("calibration", folder=str(folder), output=str(samples), count=40, vae=True, text=True, pictures=True)
    for part, how in modes.items():
        _task("quantize", graph=str(folder / part / "openvino_model.xml"), part=part, mode=how, inputs=str(samples))
    output = samples / "pictures.json"
    _task("likeness", folder=str(folder), references=str(samples), output=str(output))
    found = {
        part: record.short(json.loads((folder / part / int8.RECORD).read_text(encoding="utf-8"))) for part in modes
    }
    return record.lines({"parts": found, "pictures": json.loads(output.read_text(encoding="utf-8"))})


def _task(module: str, **order: Any) -> None:
    found = importlib.import_module(f"safelight_server.export.{module}")
    found.run(found.Order(**order), lambda done, total: None)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="measure_int8", description=__doc__)
    top.add_argument("folder", type=Path, help="where the models and samples are made")
    top.add_argument("--model", choices=("demo-vega", "demo-xl"), default="demo-vega")
    top.add_argument("--parts", default="all", help="as --int8 of the export takes them (%(default)s)")
    top.add_argument("--mode", choices=tuple(MODES), default="ptq", help="(%(default)s)")
    return top


if __name__ == "__main__":
    main()
