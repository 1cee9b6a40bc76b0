"""Exports full-size checkpoints with random weights, by Safelight and by optimum-cli: the most memory, and the time."""

from __future__ import annotations

import argparse
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psutil

BIN = Path(sys.executable).parent
TASKS = {"refiner": "image-to-image"}


@dataclass(frozen=True)
class Cost:
    """What an export took. `peak`: the most bytes resident in all processes; mapped files count, shared pages once."""

    seconds: float
    peak: int
    ended: str

    def row(self, kind: str, tool: str) -> str:
        return f"| {kind} | {tool} | {self.peak / 1e9:.1f} GB | {self.seconds:.0f} s | {self.ended} |"


def main() -> None:
    arguments = parser().parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    print(f"{date.today()}, {psutil.cpu_count()} cores, {platform.machine()}, load {psutil.getloadavg()[0]:.1f}")
    print("| checkpoint | tool | peak resident | time | ended |\n|---|---|---|---|---|", flush=True)
    for kind in arguments.kinds:
        checkpoint = arguments.folder / kind
        if not checkpoint.is_dir():
            aside = arguments.folder / f".{kind}"
            shutil.rmtree(aside, ignore_errors=True)
            made = [sys.executable, Path(__file__).with_name("random_checkpoint.py"), kind, aside]
            subprocess.run(made, check=True, stderr=subprocess.DEVNULL)
            aside.rename(checkpoint)
        for tool in arguments.tools:
            output = arguments.folder / f"{kind}-{tool}"
            shutil.rmtree(output, ignore_errors=True)
            cost = measure(command(tool, kind, checkpoint, output), arguments.limit)
            print(cost.row(kind, tool), flush=True)


def command(tool: str, kind: str, checkpoint: Path, output: Path) -> list[str]:
    if tool == "optimum-cli":
        task = TASKS.get(kind, "text-to-image")
        options = ["--task", task, "--weight-format", "fp16", "--library", "diffusers"]
        return [str(BIN / tool), "export", "openvino", "--model", str(checkpoint), *options, str(output)]
    int8 = ["--int8"] if tool == "safelight-int8" else []
    return [str(BIN / "safelight-server"), "export", str(checkpoint), str(output), *int8]


def measure(command: list[str], limit: float) -> Cost:
    """Runs a command, and kills it if it takes more than `limit` GB, before the system does."""
    started, peak = time.monotonic(), 0
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ended = ""
    while process.poll() is None:
        peak = max(peak, _resident(process))
        if peak > limit * 1e9:
            for one in (*process.children(recursive=True), process):
                one.kill()
            ended = f"stopped: over {limit:g} GB"
        time.sleep(0.1)
    return Cost(time.monotonic() - started, peak, ended or ("whole" if process.returncode == 0 else "failed"))


def _resident(process: psutil.Process) -> int:
    total = 0
    for one in (process, *process.children(recursive=True)):
        try:
            # Not RSS: by that, a process that has forked counts twice until its child begins its own work.
            total += one.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="bench_export", description=__doc__)
    add = top.add_argument
    add("kinds", nargs="*", default=["vega", "sdxl", "refiner"], help="which checkpoints (vega sdxl refiner)")
    add("--tools", nargs="+", default=["safelight", "optimum-cli"], help="safelight, safelight-int8, optimum-cli")
    add("--folder", type=Path, default=Path(".models/full-size"), help="for some 30 GB (%(default)s)")
    add("--limit", type=float, default=20.0, metavar="GB", help="stop a tool that takes more (%(default)g)")
    return top


if __name__ == "__main__":
    main()
