"""Files that were checked are not read again while they stay as they are; whatever changes, they are."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from safelight_server.model_folder import manifest, seal
from safelight_server.models import verified
from safelight_server.models.verified import Verified


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sealed folder, of some time ago."""
    monkeypatch.setattr(verified, "YOUNG", 0.0)
    folder = tmp_path / "model"
    (folder / "unet").mkdir(parents=True)
    for name in ("unet/openvino_model.bin", "unet/openvino_model.xml", "model_index.json"):
        (folder / name).write_text(name)
    seal.write(folder, {})
    return folder


def sealed(folder: Path) -> str:
    return manifest.read(folder).seal


def noted(model: Path, folder: Path) -> Verified:
    found = Verified(folder)
    found.note(model, sealed(model), found.stamps(model))
    return Verified(folder)


def test_what_stays_is_known(model: Path, tmp_path: Path) -> None:
    assert not Verified(tmp_path / "v").knows(model, sealed(model))
    assert noted(model, tmp_path / "v").knows(model, sealed(model))
    assert not noted(model, tmp_path / "v").knows(model, "0" * 64)
    assert not Verified().knows(model, sealed(model)), "always: nothing is known"


def _in_place(file: Path) -> None:
    """Other bytes, of the same size, and the times put back."""
    stat = file.stat()
    time.sleep(0.01)
    file.write_text(file.read_text()[::-1])
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def _another(file: Path) -> None:
    other = file.with_suffix(".other")
    shutil.copy2(file, other)
    other.replace(file)


@pytest.mark.parametrize(
    "change", [_in_place, _another, lambda file: os.utime(file), lambda file: file.write_text("x")]
)
def test_what_changes_is_read_again(model: Path, tmp_path: Path, change: Callable[[Path], object]) -> None:
    found = noted(model, tmp_path / "v")
    change(model / "unet/openvino_model.bin")
    assert not found.knows(model, sealed(model))


def test_what_changes_while_it_is_read_is_not_noted(model: Path, tmp_path: Path) -> None:
    found = Verified(tmp_path / "v")
    stamps = found.stamps(model)
    _in_place(model / "unet/openvino_model.bin")
    found.note(model, sealed(model), stamps)
    assert not found.knows(model, sealed(model))


def test_what_was_written_just_now_is_not_noted(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verified, "YOUNG", 3600.0)
    assert not noted(model, tmp_path / "v").knows(model, sealed(model))


def test_notes_that_cannot_be_read_or_written_are_none(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = noted(model, tmp_path / "v")
    for file in (tmp_path / "v").iterdir():
        file.write_text("{")
    assert not found.knows(model, sealed(model))
    (tmp_path / "file").touch()
    noted(model, tmp_path / "file")
    assert "is not kept for the next start" in caplog.text
