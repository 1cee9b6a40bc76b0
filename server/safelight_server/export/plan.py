"""What an export does, as data: its options, and the tasks that follow from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from . import int8, weight_files
from .source import Source

MODULE = "safelight_server.export"
CALIBRATION = "calibration"  # the name of the task that records samples, and of its module
MEASURE = "measure"  # the name of the task that draws with what was quantized


@dataclass(frozen=True)
class Options:
    """What an export is asked for, checked."""

    output: Path  # the folder to make
    half: bool = True  # weights in 16 bits, not 32
    loras: tuple[tuple[Path, float], ...] = ()  # fused one after the other, each with its strength
    scheduler: str = "keep"  # as recipes.scheduler_named gives it
    steps: int | None = None  # the folder's default; None: what the server takes for the scheduler
    guidance: float | None = None  # likewise
    tiny: Path | None = None  # the folder of an AutoencoderTiny
    share_with: Path | None = None  # an exported folder beside
    int8: int8.Modes = field(default_factory=dict)  # the graphs to quantize, and how
    prompts: Path | None = None  # to calibrate with, one a line; None: those that ship
    samples: int = 40  # inputs to calibrate with

    @property
    def precision(self) -> str:
        """That of the stored weights: "f16" or "f32"."""
        return "f16" if self.half else "f32"


@dataclass(frozen=True)
class Task:
    """One process of an export: `python -m MODULE.module` with `order`, which makes or replaces the folders `makes`."""

    name: str
    module: str
    order: dict[str, Any]  # the fields of the module's Order
    makes: tuple[str, ...]
    bytes: int  # about how many it writes: what the progress bar counts

    @property
    def folder(self) -> str:
        """The name of the folder that it works in, in that of `work_folder`."""
        return f".{self.name.replace(' ', '-')}"

    @property
    def fingerprint(self) -> str:
        """It changes when the order does, or a file that the order names: then the task is run again."""
        loras = [path for path, _ in self.order.get("loras", ())]
        parts = [path for paths in self.order.get("parts", {}).values() for path in paths]
        files = [*self.order.get("files", ()), *parts, *loras, self.order.get("prompts")]
        stamps = [[str(path), Path(path).stat().st_size, Path(path).stat().st_mtime_ns] for path in files if path]
        return hashlib.sha256(json.dumps([self.order, stamps], sort_keys=True).encode()).hexdigest()


def work_folder(aside: Path) -> Path:
    """The folder beside `aside` for all that does not belong to the model: what tasks work in, their logs, marks."""
    return aside.with_name(f"{aside.name}-work")


def tasks(
    source: Source, options: Options, aside: Path, shared: frozenset[str], fused: frozenset[str] = frozenset()
) -> list[Task]:
    """All tasks, in the order in which they run, to make the folder `aside`.

    No part in `shared` is made; those in `fused` are changed by the LoRAs.
    """
    found = [_check(source)]
    found += [task for part in source.weights for task in _conversions(source, options, aside, part, shared, fused)]
    if options.tiny:
        order = {
            "folder": str(options.tiny.absolute()),
            "part": "vae_tiny",
            "files": [str(path.absolute()) for path in weight_files.find(options.tiny, weight_files.MODEL)],
            "half": options.half,
        }
        found.append(_task("vae_tiny", "component", order, ("vae_tiny_decoder", "vae_tiny_encoder"), aside, 10**7))
    return found + list(_quantizations(source, options, aside))


def _check(source: Source) -> Task:
    """Whether all weights fit their configurations: known after seconds, not when the last part is made."""
    files = {part: [str(path.absolute()) for path in paths] for part, paths in source.weights.items()}
    order = {"folder": str(source.folder.absolute()), "parts": files, "single": sorted(source.single)}
    return Task("check", "fit", order | {"small": source.small_digest}, (), 0)


def _conversions(
    source: Source, options: Options, aside: Path, part: str, shared: frozenset[str], fused: frozenset[str]
) -> Iterator[Task]:
    graphs = ("vae_encoder", "vae_decoder") if part == "vae" else (part,)
    tokenizer = [part.replace("text_encoder", "tokenizer")] if part.startswith("text") else []
    makes = tuple(name for name in (*graphs, *tokenizer) if name not in shared)
    if not makes:
        return
    order: dict[str, Any] = {
        "folder": str(source.folder.absolute()),
        "part": part,
        "files": [str(path.absolute()) for path in source.weights[part]],
        "half": options.half,
        "single": part in source.single,
        "small": source.small_digest,
    }
    if part in fused:
        order["loras"] = [[str(path.absolute()), strength] for path, strength in options.loras]
    yield _task(part, "component", order, makes, aside, source.parameters(part) * (2 if options.half else 4))


def _quantizations(source: Source, options: Options, aside: Path) -> Iterator[Task]:
    """Samples first, then the graphs, and at last what has become of the pictures."""
    modes = {part: mode for part, mode in options.int8.items() if part == "vae_decoder" or part in source.weights}
    inputs, calibrates = work_folder(aside) / f".{CALIBRATION}" / CALIBRATION, int8.calibrates(modes)
    drawn = {
        "folder": str(aside),
        "prompts": str(options.prompts.resolve()) if options.prompts else None,
        "sizes": None,
    }
    if calibrates:
        kinds = {"vae": "vae_decoder" in modes, "text": any(part.startswith("text") for part in modes)}
        order = drawn | {"count": options.samples, "output": str(inputs), "pictures": True}
        yield Task(CALIBRATION, CALIBRATION, order | kinds, (), 5 * 10**8)
    for part, mode in modes.items():
        order = {"part": part, "mode": mode, "inputs": str(inputs)}
        yield _task(f"int8 {part}", "quantize", order, (part,), aside, 10**9)
    if calibrates:
        order = drawn | {"references": str(inputs), "output": str(measured(aside)), "int8": modes}
        yield Task(MEASURE, "likeness", order, (), 2 * 10**8)


def measured(aside: Path) -> Path:
    """The file that the task MEASURE writes."""
    return work_folder(aside) / f".{MEASURE}" / "pictures.json"


def _task(name: str, module: str, order: dict[str, Any], makes: tuple[str, ...], aside: Path, size: int) -> Task:
    task = Task(name, module, order, makes, size)
    output = work_folder(aside) / task.folder
    if module == "component":
        return replace(task, order=order | {"output": str(output), "bytes": size})
    return replace(task, order=order | {"graph": str(output / makes[0] / "openvino_model.xml")})
