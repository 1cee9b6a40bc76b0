"""What people name that cannot be served yet, and the command that makes a model folder of it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from safelight_server.errors import LoadError

CHECKPOINT_FILES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
WEIGHTS = ("*.safetensors", "diffusion_pytorch_model*", "*.safetensors.index.json")
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def check_ready(path: Path) -> None:
    """Raises LoadError, with the command that helps, for what is no folder of OpenVINO graphs."""
    if not path.exists():
        hint = f"; of a model on the hub, make a folder first: {_export(path)}" if _is_hub_name(path) else ""
        raise LoadError(f"{path}: is not there{hint}")
    if path.is_file():
        if path.suffix.lower() in CHECKPOINT_FILES:
            raise LoadError(f"{path}: is a checkpoint; make a folder of it first: {_export(path)}")
        raise LoadError(f"{path}: must be a folder")
    if not path.is_dir() or (path / "unet/openvino_model.xml").exists():
        return
    if (path / "model_index.json").is_file() and _has_weights(path / "unet"):
        raise LoadError(f"{path}: holds a checkpoint for PyTorch; make a folder of it first: {_export(path)}")
    if not (path / "model_index.json").exists() and (files := _checkpoints(path)):
        raise LoadError(f"{path}: holds checkpoint files; make a folder of one first: {_export(files[0])}")


def _is_hub_name(path: Path) -> bool:
    return HUB_NAME.fullmatch(str(path)) is not None and not str(path).startswith(".")


def _has_weights(folder: Path) -> bool:
    return any(next(folder.glob(pattern), None) is not None for pattern in WEIGHTS)


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in CHECKPOINT_FILES and path.is_file())


def _export(source: Path) -> str:
    return f"safelight-server export {shlex.quote(str(source))} {shlex.quote(f'./{source.stem}-openvino')}"
