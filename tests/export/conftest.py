"""What the tests of exports share: small checkpoints, the folders that they are exported to, samples for INT8."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest
from support import once

# By model of tests/support/tiny_models.py: how many samples are recorded.
COUNTS = {"base": 60, "vega_lcm": 16, "refiner": 20}


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this run, for what all workers of pytest-xdist share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own


@pytest.fixture(scope="session")
def checkpoints(run_folder: Path) -> Path:
    """The checkpoints and pictures of tests/support/tiny_checkpoints.py, which no test changes."""
    return once.made(run_folder / "checkpoints", _write_checkpoints)


def _write_checkpoints(folder: Path) -> None:
    from support.exports import quick_and_quiet
    from support.tiny_checkpoints import write

    folder.mkdir()
    with quick_and_quiet():
        write(folder)


@pytest.fixture(scope="session")
def exported(checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In f32: `base`; and with parts of it `int8`, the same in INT8, `vega`, with the LoRA, and `refiner`."""
    from support.exports import export

    folder = tmp_path_factory.mktemp("exported")
    shared = ("--share-with", folder / "base")
    for name, checkpoint, *options in (
        ("base", "base", "--tiny-vae", checkpoints / "tiny"),
        ("int8", "base", "--samples", "25", *shared, "--int8=all"),
        ("vega", "vega", "--lora", checkpoints / "lora.safetensors", "--scheduler", "lcm", *shared),
        ("refiner", "refiner", *shared),
    ):
        export(checkpoints / checkpoint, folder / name, "--weights", "f32", *options)
    return folder


class Samples(dict[str, Path]):
    """The samples that calibration records of a model: a folder of unet/ and, for base, vae_decoder/.

    They are recorded when they are first asked for: most files need those of one model.
    """

    def __init__(self, folders: dict[str, str], output: Path) -> None:
        super().__init__()
        self._folders, self._output = folders, output

    def __missing__(self, name: str) -> Path:
        self[name] = once.made(self._output / name, partial(record, name, self._folders[name]))
        return self[name]


@pytest.fixture(scope="session")
def samples(folders: dict[str, str], run_folder: Path) -> dict[str, Path]:
    return Samples(folders, run_folder / "samples")


def record(name: str, model: str, output: Path) -> None:
    from safelight_server.export.calibration import Order, run

    progress: list[tuple[int, int]] = []
    order = Order(model, str(output), count=COUNTS[name], vae=name == "base", text=name == "base")
    run(order, lambda done, total: progress.append((done, total)))
    assert progress == [(done, len(progress)) for done in range(1, len(progress) + 1)]
