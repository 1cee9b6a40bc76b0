"""Exports of full size, with random weights, within their memory: pytest -m slow tests/export/test_full_size.py

Needs 30 GB of disk, and a minute or two for each. `scripts/bench_export` prints the same figures, beside optimum-cli's.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("psutil")

import bench_export
from safelight_server.model_folder import model_config, seal

MOST = 12e9  # bytes resident, in all processes together


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["vega", "sdxl", "refiner"])
def test_an_export_of_full_size_fits_into_little_memory(kind: str, tmp_path: Path) -> None:
    checkpoint, output = tmp_path / kind, tmp_path / "exported"
    script = Path(bench_export.__file__).with_name("random_checkpoint.py")
    subprocess.run([sys.executable, str(script), kind, str(checkpoint)], check=True, stderr=subprocess.DEVNULL)
    cost = bench_export.measure(bench_export.command("safelight", kind, checkpoint, output), limit=20)
    assert cost.ended == "whole"
    assert cost.peak <= MOST
    assert model_config.read(output).kind == ("refiner" if kind == "refiner" else "base")
    assert seal.check(output)
