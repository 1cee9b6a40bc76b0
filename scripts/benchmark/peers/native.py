"""Builds stable-diffusion.cpp for this very processor, of its source distribution, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGE, VERSION = "stable-diffusion-cpp-python", "0.4.7"
VARIABLE = "BENCHMARK_SDCPP"  # of the environment: the folder, for the peer's process
OPTIONS = "-DGGML_NATIVE=ON"  # all that this processor can do


def ensure(cache: Path) -> Path | None:
    """The folder with the binding and its library; None, and a word on stderr, where it cannot be built.

    It is no part of the virtual environment: it brings no dependency but Pillow, which is there.
    """
    folder = cache / "native" / f"{PACKAGE}-{VERSION}"
    if not folder.is_dir():
        print(f"building {PACKAGE} {VERSION}: once, some minutes", file=sys.stderr, flush=True)
        aside = folder.with_name(f".{folder.name}")
        shutil.rmtree(aside, ignore_errors=True)
        done = subprocess.run(command(aside), capture_output=True, text=True, check=False, env=environment())
        if done.returncode:
            print(f"{PACKAGE} is left out, for it cannot be built: {last(done.stderr)}", file=sys.stderr, flush=True)
            return None
        aside.rename(folder)
    os.environ[VARIABLE] = str(folder)
    return folder


def command(folder: Path) -> list[str]:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    return [*pip, "--no-binary", PACKAGE, "--target", str(folder), f"{PACKAGE}=={VERSION}"]


def environment() -> dict[str, str]:
    return {**os.environ, "CMAKE_ARGS": OPTIONS, "CMAKE_BUILD_PARALLEL_LEVEL": str(len(os.sched_getaffinity(0)))}


def last(text: str) -> str:
    """The last line that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "pip said nothing")
