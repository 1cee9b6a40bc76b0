"""Makes the full-size models, where there are none: VegaRT's shape with random weights, in FP16 and INT8."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from .environment import environment

SCRIPTS = Path(__file__).parents[1]
INT8 = "vegart-int8"
LCM = ("vegart", INT8)  # of 4 steps
BUILT = ("vegart", INT8, "vega-euler")  # the others share their encoders and their VAE with the first


def ensure(names: Iterable[str], models: Path) -> None:
    """Builds what is missing of BUILT in `models`: minutes, 12 GB of disk, and 10 GB of memory for INT8."""
    for name in BUILT:
        if name in names and not (models / name).is_dir():
            models.mkdir(parents=True, exist_ok=True)
            _export(name, _checkpoint(models), _tiny(models), models / name)


def _export(name: str, checkpoint: Path, tiny: Path, output: Path) -> None:
    options = ["--scheduler", "lcm" if name in LCM else "keep"]
    options += ["--tiny-vae", str(tiny)]
    options += ["--share-with", str(output.with_name("vegart"))] if name != "vegart" else []
    options += ["--int8"] if name == INT8 else []
    _run("-m", "safelight_server", "export", str(checkpoint), str(output), *options)


def _checkpoint(models: Path) -> Path:
    """A Vega checkpoint of random weights."""
    folder = models / "vega"
    if not folder.is_dir():
        aside = models / ".vega"
        _run(str(SCRIPTS / "random_checkpoint.py"), "vega", str(aside))
        aside.rename(folder)
    return folder


def _tiny(models: Path) -> Path:
    """A decoder of TAESDXL's shape: diffusers' defaults, random weights."""
    folder = models / "taesdxl"
    if not folder.is_dir():
        program = "import sys, diffusers; diffusers.AutoencoderTiny().save_pretrained(sys.argv[1])"
        _run("-c", program, str(folder))
    return folder


def _run(*command: str) -> None:
    print(f"building: {' '.join(command)}", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, *command], check=True, env=environment())
