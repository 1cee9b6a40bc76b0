"""safelight-server compare: two models of one kind, size, time and pictures, side by side."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from safelight_server.arrays import Hw
from safelight_server.compare import parts, runs
from safelight_server.compare.parts import Likeness
from safelight_server.compare.report import figures, table
from safelight_server.compare.runs import Asked, Comparison
from safelight_server.compare.sheet import sheet
from safelight_server.errors import JobError, LoadError
from safelight_server.model_folder import model_config
from safelight_server.model_folder.model_config import ModelConfig
from safelight_server.models import devices, loader
from safelight_server.models.device import Device

from .parsing import PRECISIONS, add_command, whole_number

PROMPTS = (
    "a lighthouse on a cliff in a storm, oil painting",
    "portrait photograph of an old fisherman, soft window light",
    "a bowl of ramen with a boiled egg, seen from above",
    "a red bicycle leaning on a blue wall",
    "a snow leopard resting on a rock, telephoto",
    "the interior of a small library with a spiral staircase",
    "a paper cut-out of a whale above a city",
    "a glass of water on a wooden table, hard shadows",
    "terraced rice fields at sunrise, mist in the valley",
    "a brass pocket watch, its gears laid open, macro",
    "a street market at night in the rain, neon signs",
    "a poster with the word SAFELIGHT in bold letters",
)

# What the demo models can draw. No other models are made for pictures this small, so this edge tells them apart.
EMOJI_EDGE = 128
EMOJI = (
    "a red apple",
    "an owl on a teal background",
    "a banana on a blue background",
    "a snowman on a green background",
    "a sunflower on a purple background",
    "a cactus on a brown background",
    "a lemon on a green background",
    "an octopus",
    "a penguin on a yellow background",
    "a rocket on a pink background",
    "a strawberry on a white background",
    "a crab on an orange background",
)

EPILOG = """\
examples:
  safelight-server compare ./vegart ./vegart-int8
  safelight-server compare ./sdxl-base ./sdxl-int8 --steps 20 --size 512x512 --prompts ours.txt --json figures.json

Both draw with A's defaults, from the same seeds, in turns. A busy machine makes the times of both worthless.
"""


def add(commands: Any) -> None:
    """Adds the command and its options."""
    command = add_command(
        commands,
        "compare",
        run,
        help="compare two models: size, time, and how far B's pictures are from A's",
        description=__doc__,
        epilog=EPILOG,
    )
    add = command.add_argument
    add("a", type=Path, metavar="A", help="a model folder, the reference")
    add("b", type=Path, metavar="B", help="a model folder of the same kind, as A quantized")
    add("--prompts", type=Path, metavar="FILE", help="one a line (twelve of ours)")
    add("--steps", type=whole_number(1, 99999), metavar="N", help="(A's default)")
    add("--guidance", type=float, metavar="SCALE", help="(A's default)")
    add("--size", type=_size, metavar="WxH", help="pixels (A's native size)")
    add("--seeds", type=whole_number(1, 99999), default=1, metavar="N", help="pictures of each prompt (%(default)s)")
    add(
        "--repeats",
        type=whole_number(1, 99999),
        default=1,
        metavar="N",
        help="drawings of each picture, for its time (%(default)s)",
    )
    add(
        "--parts", action="store_true", help="draw A's pictures with each part of B by itself, too: what each one costs"
    )
    add("--device", default="CPU", help="an OpenVINO device: CPU, GPU, GPU.1, ... (%(default)s)")
    add("--precision", choices=PRECISIONS, help="of the arithmetic (the device's own choice)")
    add("--sheet", type=Path, default=Path("compare.png"), metavar="FILE", help="the pictures (%(default)s)")
    add("--json", type=Path, metavar="FILE", help="all figures, each picture's and each step's")


def run(arguments: argparse.Namespace) -> None:
    """Compares, prints the table, and writes the sheet and the figures.

    Raises LoadError for folders, options and settings that do not fit, or a network that fails.
    """
    for name, path in (("--sheet", arguments.sheet), ("--json", arguments.json)):
        if path and not path.resolve().parent.is_dir():
            raise LoadError(f"{name} must lie in a folder that is there, not {path}")
    if arguments.sheet.suffix.lower() != ".png":
        raise LoadError(f"--sheet must end in .png, not {arguments.sheet}")
    devices.check([arguments.device])
    a, b = model_config.read(arguments.a), model_config.read(arguments.b)
    runs.check(a, b)
    asked = Asked(
        prompts=_prompts(arguments.prompts, a),
        size=arguments.size,
        steps=arguments.steps,
        guidance=arguments.guidance,
        seeds=arguments.seeds,
        repeats=arguments.repeats,
    )
    before = _load_average()
    try:
        device = Device(arguments.device, arguments.precision)
        comparison, by_part = asyncio.run(_compare(a, b, device, asked, by_part=arguments.parts))
    except JobError as error:
        raise LoadError(str(error)) from None
    except KeyboardInterrupt:
        sys.exit(130)
    measured = figures(comparison, (before, _load_average()), by_part)
    print(table(measured))
    sheet(comparison).save(arguments.sheet)
    print(f"\nsheet: {arguments.sheet}")
    if arguments.json:
        arguments.json.write_text(json.dumps(measured, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"figures: {arguments.json}")


async def _compare(
    a: ModelConfig, b: ModelConfig, device: Device, asked: Asked, *, by_part: bool
) -> tuple[Comparison, dict[str, Likeness] | None]:
    style = "{desc:32} {bar} {n}/{total}"
    total = loader.progress_total(a) + loader.progress_total(b)
    with tqdm(total=total, disable=None, bar_format=style, leave=False) as bar:

        def on_progress(what: str) -> None:
            bar.set_description_str(what)
            bar.update()

        both = await runs.load(a, b, device, on_progress)
    total = runs.inferences(asked, a.steps)
    total += by_part * len(parts.changed(a, b)) * len(asked.prompts) * asked.seeds * (asked.steps or a.steps)
    with tqdm(total=total, desc="A B A B", unit="step", disable=None, leave=False) as bar:
        comparison = await runs.draw(both, asked, bar.update)
        return comparison, await parts.draw(both, asked, comparison.pairs, bar.update) if by_part else None


def _prompts(path: Path | None, a: ModelConfig) -> tuple[str, ...]:
    """The prompts of a file, each once; without a file, those that A can draw: EMOJI or PROMPTS."""
    if path is None:
        return EMOJI if a.native_edge == EMOJI_EDGE else PROMPTS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise LoadError(f"--prompts must be a text file in UTF-8, not {path}") from None
    prompts = tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not prompts:
        raise LoadError(f"--prompts must have one prompt a line, and {path} has none")
    return prompts


def _size(text: str) -> Hw:
    found = re.fullmatch("([0-9]{1,5})x([0-9]{1,5})", text)
    if not found:
        raise argparse.ArgumentTypeError(f"must be WxH, as 768x512, not {text!r}")
    return int(found[2]), int(found[1])


def _load_average() -> float:
    """The machine's load average of the last minute; -1 where the system has none."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else -1.0
