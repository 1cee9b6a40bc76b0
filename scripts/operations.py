"""In which precision a model's networks calculate: a table by kind of operation, of the graphs as they are run."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import openvino as ov
from safelight_server.diffusion.prompt_tokenizer import load_tokenizer
from safelight_server.model_folder import model_config

RUNS = 8  # of each network; of an operation the fastest counts, for a machine has other work, too
NOTHING = ("Constant", "Input", "Result", "Output")
FEWEST = 0.005  # of a network's time: kinds that take less are told together


class Cost(NamedTuple):
    """What the operations of one kind and one precision are of a network."""

    number: int
    seconds: float


def main() -> None:
    arguments = parser().parse_args()
    config = model_config.read(arguments.folder)
    edge = (arguments.size or config.native_edge) // config.latents.factor
    tokens = load_tokenizer(config.tokenizer(config.encoders[0])).max_tokens
    print("| network | operation | precision | operations | time |\n|---|---|---|---|---|")
    for part in (*config.encoders, "unet", "vae_decoder"):
        for row in rows(part, costs(config.graph(part), edge, tokens, arguments.precision)):
            print(row)


def costs(path: Path, edge: int, tokens: int, precision: str | None) -> dict[tuple[str, str], Cost]:
    """By kind and precision of the operations of a graph, on inputs for latents of this edge and so many tokens."""
    settings: dict[str, Any] = {"PERF_COUNT": True} | ({"INFERENCE_PRECISION_HINT": precision} if precision else {})
    compiled = ov.Core().compile_model(path, "CPU", settings)
    request = compiled.create_infer_request()
    given = inputs(compiled, edge, tokens)
    least: dict[str, float] = {}
    for _ in range(RUNS):
        request.start_async(given)
        request.wait()
        profile = request.get_profiling_info()
        taken = {one.node_name: one.real_time.total_seconds() for one in profile}
        least = {name: min(seconds, least.get(name, seconds)) for name, seconds in taken.items()}
    precisions = {node.get_friendly_name(): _told(node, "runtimePrecision") for node in _nodes(compiled)}
    found: dict[tuple[str, str], Cost] = defaultdict(lambda: Cost(0, 0.0))
    for one in profile:
        if one.node_type not in NOTHING and least[one.node_name]:
            key = one.node_type, precisions.get(one.node_name, "unknown")
            count, seconds = found[key]
            found[key] = Cost(count + 1, seconds + least[one.node_name])
    return dict(found)


def inputs(compiled: Any, edge: int, tokens: int) -> dict[str, Any]:
    """Inputs of a network: noise, or zeros where they are whole numbers."""
    random, made = np.random.default_rng(0), {}
    for port in compiled.inputs:
        shape = [size.get_length() if size.is_static else 0 for size in port.partial_shape]
        latents = len(shape) == 4
        filled = [size or (1 if place == 0 else edge if latents else tokens) for place, size in enumerate(shape)]
        kind = port.element_type.to_dtype()
        whole = np.issubdtype(kind, np.integer)
        made[port.any_name] = np.zeros(filled, kind) if whole else random.normal(0, 1, filled).astype(kind)
    return made


def rows(part: str, found: Mapping[tuple[str, str], Cost]) -> Iterator[str]:
    """Lines of the table: the costliest first, and what is too little to be told by itself."""
    whole = sum(cost.seconds for cost in found.values())
    rest = Cost(0, 0.0)
    for (kind, precision), cost in sorted(found.items(), key=lambda item: -item[1].seconds):
        if cost.seconds < FEWEST * whole:
            rest = Cost(rest.number + cost.number, rest.seconds + cost.seconds)
        else:
            yield f"| {part} | {kind} | {precision} | {cost.number} | {cost.seconds / whole:.1%} |"
    if rest.number:
        yield f"| {part} | others | | {rest.number} | {rest.seconds / whole:.1%} |"


def _nodes(compiled: Any) -> list[Any]:
    return list(compiled.get_runtime_model().get_ops())


def _told(node: Any, name: str) -> str:
    info = node.get_rt_info()
    return str(info[name].astype(str)) if name in info else "unknown"


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="operations", description=__doc__)
    top.add_argument("folder", type=Path, help="a model folder")
    top.add_argument("--size", type=int, help="edge of the picture in pixels (the model's own)")
    top.add_argument("--precision", help="of what is not in INT8: f32, bf16, f16 (the device's own choice)")
    return top


if __name__ == "__main__":
    main()
