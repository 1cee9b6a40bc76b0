"""What an export does, as data: its options, and the jobs that they come to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .source import Source

MODULE = "safelight_server.export"
CALIBRATION = "calibration"  # its file beside the parts, while they are made


@dataclass(frozen=True)
class Options:
    """`half`: weights in 16 bits. `int8`: how to quantize the UNet. `tiny`: the folder of an AutoencoderTiny."""

    output: Path
    half: bool = True
    lora: Path | None = None
    lora_scale: float = 1.0
    scheduler: str = "keep"
    tiny: Path | None = None
    share_with: Path | None = None
    int8: str | None = None
    int8_vae: bool = False
    prompts: Path | None = None
    samples: int = 40

    @property
    def precision(self) -> str:
        """Of the stored weights."""
        return "f16" if self.half else "f32"


@dataclass(frozen=True)
class Job:
    """One process: `python -m MODULE.module` with `order`. It makes the folders `makes`, or remakes them."""

    name: str
    module: str
    order: dict[str, Any]
    makes: tuple[str, ...]
    bytes: int  # to be written, about: what the progress bar counts

    @property
    def fingerprint(self) -> str:
        """Changes when the order does, or the files that it reads: then the job is done again."""
        files = [*self.order.get("files", ()), self.order.get("lora"), self.order.get("prompts")]
        stamps = [[str(path), Path(path).stat().st_size, Path(path).stat().st_mtime_ns] for path in files if path]
        return hashlib.sha256(json.dumps([self.order, stamps], sort_keys=True).encode()).hexdigest()


def jobs(source: Source, options: Options, aside: Path, shared: frozenset[str]) -> list[Job]:
    """In the order in which they run. Parts that another folder has are not made."""
    found = [job for part in source.weights for job in _convert(source, options, aside, part, shared)]
    if options.tiny:
        order = {"folder": str(options.tiny.resolve()), "part": "vae_tiny", "files": [], "half": options.half}
        found.append(_job("vae_tiny", "component", order, ("vae_tiny_decoder", "vae_tiny_encoder"), aside, 10**7))
    return found + list(_quantize(options, aside))


def _convert(source: Source, options: Options, aside: Path, part: str, shared: frozenset[str]) -> Iterator[Job]:
    graphs = ("vae_encoder", "vae_decoder") if part == "vae" else (part,)
    tokenizer = [part.replace("text_encoder", "tokenizer")] if part.startswith("text") else []
    makes = tuple(name for name in (*graphs, *tokenizer) if name not in shared)
    if not makes:
        return
    order: dict[str, Any] = {
        "folder": str(source.folder.resolve()),
        "part": part,
        "files": [str(path) for path in source.weights[part]],
        "half": options.half,
    }
    if part == "unet" and options.lora:
        order |= {"lora": str(options.lora.resolve()), "lora_scale": options.lora_scale}
    yield _job(part, "component", order, makes, aside, source.parameters(part) * (2 if options.half else 4))


def _quantize(options: Options, aside: Path) -> Iterator[Job]:
    if not (options.int8 or options.int8_vae):
        return
    prompts = str(options.prompts.resolve()) if options.prompts else None
    inputs = aside / f".{CALIBRATION}" / CALIBRATION
    if options.int8 != "weights" or options.int8_vae:
        order = {"folder": str(aside), "prompts": prompts, "count": options.samples, "vae": options.int8_vae}
        yield Job(CALIBRATION, CALIBRATION, order | {"output": str(inputs), "sizes": None}, (), 5 * 10**8)
    parts = [("unet", options.int8)] if options.int8 else []
    parts += [("vae_decoder", "ptq")] if options.int8_vae else []
    for part, mode in parts:
        order = {"part": part, "mode": mode, "inputs": str(inputs)}
        yield _job(f"int8 {part}", "quantize", order, (part,), aside, 10**9)


def _job(name: str, module: str, order: dict[str, Any], makes: tuple[str, ...], aside: Path, size: int) -> Job:
    output = aside / f".{name.replace(' ', '-')}"
    told = (
        {"output": str(output), "bytes": size}
        if module == "component"
        else {"graph": str(output / makes[0] / "openvino_model.xml")}
    )
    return Job(name, module, order | told, makes, size)
