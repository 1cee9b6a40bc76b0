"""The INT8 variants of a demo model: its own graphs, quantized as an export does it, in a folder that is kept."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from benchmark.environment import environment
from safelight_server.model_folder import json_file, manifest, seal

SAMPLES = 60  # inputs of the UNet: each of demo-xl's 25 steps is seen
PARTS = {"int8": ("unet",), "int8-vae": ("unet", "vae_decoder")}


def variant(model: Path, name: str, cache: Path) -> Path:
    """The folder of a variant, made if the cache has none of this model as it is now."""
    folder = cache / f"{model.name}-{name}-{_seal(model)}"
    if not folder.is_dir():
        print(f"quantizing: {folder.name}", file=sys.stderr, flush=True)
        aside = folder.with_name(f".{folder.name}")
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(model, aside)
        samples = _samples(model, cache)
        for part in PARTS[name]:
            _quantize(aside, part, samples)
        _, values = json_file.read(aside / manifest.NAME)
        seal.write(aside, values)
        aside.rename(folder)
    return folder


def _samples(model: Path, cache: Path) -> Path:
    """The inputs of the model's UNet and VAE decoder, recorded once."""
    folder = cache / f"{model.name}-samples-{_seal(model)}"
    if not folder.is_dir():
        aside = folder.with_name(f".{folder.name}")
        _run("calibration", folder=str(model), output=str(aside), count=SAMPLES, vae=True)
        aside.rename(folder)
    return folder


def _quantize(folder: Path, part: str, samples: Path) -> None:
    graph = folder / part / "openvino_model.xml"
    _run("quantize", graph=str(graph), mode="ptq", part=part, inputs=str(samples))


def _run(module: str, **order: object) -> None:
    command = [sys.executable, "-m", f"safelight_server.export.{module}", json.dumps(order)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False, env=environment())
    if done.returncode:
        raise RuntimeError(f"{module} failed: {done.stderr.strip().splitlines()[-1:]}")


def _seal(model: Path) -> str:
    _, values = json_file.read(model / manifest.NAME)
    return str(values["seal"])[:12]
