"""What was learnt of a graph is there after a restart, and is never believed where it cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from safelight_server.lanes.batching import Batching
from safelight_server.lanes.step_times import StepTimes
from safelight_server.models.notes import KEPT, Note, Notes, Subject

HERE = {"OpenVINO": "2026.4.1", "the processor": "A"}
NOTE = Note("f32", {"bf16": 2.0, "f32": 1.0}, [["unet", []]], [["unet", [[[1, 4, 8, 8], 0.5]]]])


def test_it_is_there_after_a_restart(tmp_path: Path) -> None:
    subject = Subject("m/unet", "a b", HERE)
    assert Notes(tmp_path).read(subject) == Note()
    Notes(tmp_path).write(subject, NOTE)
    assert Notes(tmp_path).read(subject) == NOTE
    assert Notes(tmp_path).read(Subject("n/unet", "a b", HERE)) == NOTE, "another model of the same file"
    assert Notes(tmp_path).read(Subject("m/unet", "a c", HERE)) == Note()


def test_other_surroundings_have_notes_of_their_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for n in range(KEPT + 2):
        Notes(tmp_path).write(Subject("m/unet", "a b", HERE | {"the processor": f"{n}"}), Note(precision=f"p{n}"))
    notes = Notes(tmp_path)
    assert notes.read(Subject("m/unet", "a b", HERE | {"the processor": f"{KEPT}"})).precision == f"p{KEPT}"
    assert not caplog.text
    for _ in range(2):
        assert notes.read(Subject("m/unet", "a b", HERE)) == Note()
    assert caplog.text.count("m/unet is measured anew: the processor was 9, and is A") == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pages": [{"of": {}, "note": {"speed": 1}}]}', '{"pages": [{}]}'])
def test_what_cannot_be_read_is_measured_anew(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    subject = Subject("m/unet", "a b", HERE)
    (tmp_path / subject.file).write_text(text)
    assert Notes(tmp_path).read(subject) == Note()
    assert "cannot be read" in caplog.text
    Notes(tmp_path).write(subject, NOTE)
    assert Notes(tmp_path).read(subject) == NOTE


def test_what_cannot_be_written_lasts_as_long_as_the_process(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    notes, subject = Notes(tmp_path / "file" / "below"), Subject("m/unet", "a b", HERE)
    for _ in range(2):
        notes.write(subject, NOTE)
        assert notes.read(subject) == NOTE
    assert caplog.text.count("is lost when this process ends") == 1


def test_what_a_lane_has_learnt_comes_back() -> None:
    signature = "m/unet", ("sample", (4, 8, 8)), ("timestep", ())
    batching, step_times = Batching(), StepTimes()
    batching.allow(signature, (4, 2))
    batching.allow(("m/other", ("x", (2,))), ())
    step_times.observe("m/unet", (1, 4, 8, 8), 0.5)
    again, times = Batching(), StepTimes()
    again.recall("n/unet", batching.told("m/unet"))
    times.recall("n/unet", step_times.told("m/unet"))
    assert again.sizes(("n/unet", *signature[1:])) == (4, 2)
    assert not again.knows(("n/other", ("x", (2,))))
    assert times.seconds("n/unet", (1, 4, 8, 8)) == 0.5
