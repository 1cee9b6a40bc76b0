"""Exports in processes of their own, as people run them: a stop, progress, a refusal, a full disk."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safelight_server.errors import LoadError
from safelight_server.export.marks import NAME as DONE
from safelight_server.export.plan import Task, work_folder
from safelight_server.export.process import in_own_process
from safelight_server.model_folder import json_file

pytest.importorskip("optimum")
pytest.importorskip("peft")

from support.exports import export

pytestmark = pytest.mark.timeout(600)

ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1"}


def start_export(*arguments: object, **more: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "safelight_server", "export", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ONE_THREAD, **more)


def test_weights_are_stored_in_half_by_default_and_a_stopped_export_goes_on(
    checkpoints: Path, folders: dict[str, str]
) -> None:
    """Ctrl-C after the first part: no folder; the same command then makes the other parts, and not the first again."""
    output = checkpoints / "stopped"
    aside = checkpoints / ".stopped.partial"
    with start_export(checkpoints / "refiner", output, start_new_session=True) as process:
        wait_for(lambda: "unet" in done(aside))
        os.killpg(process.pid, signal.SIGINT)
        message = process.communicate()[1]
    assert process.returncode != 0
    assert "stopped; the same command goes on from here" in message
    assert "Traceback" not in message
    assert not output.exists()
    first = (aside / "unet" / "openvino_model.bin").stat()
    export(checkpoints / "refiner", output)
    assert (output / "unet" / "openvino_model.bin").stat().st_ino == first.st_ino
    assert not aside.exists()
    assert not work_folder(aside).exists()
    halves, whole = (Path(folder, "unet/openvino_model.bin").stat().st_size for folder in (output, folders["refiner"]))
    assert 0.45 < halves / whole < 0.6, "the same model as Optimum exports it, in f32"


def done(aside: Path) -> dict[str, Any]:
    """The tasks that count as done: one whose folders are there may not count yet."""
    path = work_folder(aside) / DONE
    return json_file.read(path)[1] if path.exists() else {}


def wait_for(true: Callable[[], bool], patience: float = 120) -> None:
    deadline = time.monotonic() + patience
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_process_tells_its_progress(
    folders: dict[str, str], samples: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NNCF prints bars of its own between the lines, with signs that an encoding of few letters does not have."""
    for name, value in {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}.items():
        monkeypatch.setenv(name, value)
    model = shutil.copytree(folders["base"], tmp_path / "model")
    order = {"graph": str(model / "unet/openvino_model.xml"), "mode": "hybrid", "subset": 2}
    progress: list[tuple[int, int]] = []
    task = Task("int8 unet", "quantize", order | {"inputs": str(samples["base"])}, (), 1)
    in_own_process(task, tmp_path / "log", lambda done, total: progress.append((done, total)))
    assert progress[:2] == [(0, 1000), (250, 1000)], "two samples are half of the work"
    assert progress == [*sorted(progress[:-1]), (1, 1)]
    assert progress[-2] == (1000, 1000), "all that was measured is counted"
    assert 'type="FakeQuantize"' in (model / "unet/openvino_model.xml").read_text(encoding="utf-8")


def test_a_process_that_refuses_its_order_is_told_in_one_line(folders: dict[str, str], tmp_path: Path) -> None:
    task = Task("int8 unet", "quantize", {"graph": "nowhere.xml", "mode": "int4"}, (), 1)
    with pytest.raises(LoadError) as raised:
        in_own_process(task, tmp_path / "log", lambda done, total: None)
    assert str(raised.value) == "mode must be one of ptq, hybrid, weights, not 'int4'"


def test_a_full_disk_is_told_in_one_line(checkpoints: Path) -> None:
    """A limit on the size of files stands in for the disk."""

    def small() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    output = checkpoints / "full"
    process = start_export(checkpoints / "base", output, preexec_fn=small)
    assert_refused(process, output, "unet could not be written whole; is the disk full?")


def assert_refused(process: subprocess.Popen[str], output: Path, why: str) -> None:
    with process:
        message = process.communicate()[1]
    assert process.returncode == 1
    last = message.splitlines()[-1]
    assert last.startswith("safelight-server: ")
    assert why in last
    assert "Traceback" not in message
    assert not output.exists()
