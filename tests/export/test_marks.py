"""What a stopped export takes up again, whenever it was stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from safelight_server.export.marks import Marks
from safelight_server.export.plan import CALIBRATION, MEASURE, Task, work_folder

TASKS = [
    Task("check", "fit", {}, (), 0),
    Task("unet", "component", {"n": 1}, ("unet",), 0),
    Task("vae", "component", {"n": 1}, ("vae_encoder", "vae_decoder"), 0),
    Task(CALIBRATION, CALIBRATION, {"n": 1}, (), 0),
    Task("int8 unet", "quantize", {"n": 1}, ("unet",), 0),
]


@pytest.fixture
def aside(tmp_path: Path) -> Path:
    """The folder of an export that is done but for its seal."""
    folder = tmp_path / ".out.partial"
    work_folder(folder).mkdir()
    folder.mkdir()
    marks = Marks(folder, TASKS)
    for task in TASKS:
        marks.begin(task)
        make(task, folder)
        marks.done(task)
    return folder


def make(task: Task, aside: Path) -> None:
    """Leaves what the task's process leaves: folders that are new."""
    made = work_folder(aside) / task.folder
    made.mkdir(exist_ok=True)
    for name in task.makes:
        (made / name).mkdir()
        (made / name / "openvino_model.xml").write_text(task.name)
        if (aside / name).exists():
            (aside / name / "openvino_model.xml").unlink()
            (aside / name).rmdir()
        (made / name).rename(aside / name)


def undone(aside: Path, tasks: list[Task] = TASKS) -> list[str]:
    marks = Marks(aside, tasks)
    return [task.name for task in tasks if task not in marks]


def test_nothing_is_done_twice(aside: Path) -> None:
    assert undone(aside) == []


def test_what_was_swapped_and_not_marked_is_made_from_the_beginning(aside: Path) -> None:
    """A UNet that is quantized already must not be taken for the one that is to be quantized."""
    marks = Marks(aside, TASKS)
    marks.begin(TASKS[-1])
    make(TASKS[-1], aside)
    assert undone(aside) == ["unet", CALIBRATION, "int8 unet"]


def test_a_part_that_was_begun_again_undoes_what_was_calibrated_with_it(aside: Path) -> None:
    Marks(aside, TASKS).begin(TASKS[2])
    assert undone(aside) == ["unet", "vae", CALIBRATION, "int8 unet"]


def test_what_was_done_before_the_stop_is_kept(tmp_path: Path) -> None:
    aside = tmp_path / ".out.partial"
    work_folder(aside).mkdir()
    aside.mkdir()
    for task in TASKS[:2]:
        make(task, aside)
        Marks(aside, TASKS).done(task)
    assert undone(aside) == ["vae", CALIBRATION, "int8 unet"]


def test_other_samples_need_the_unet_that_is_not_quantized(aside: Path) -> None:
    other = Task(CALIBRATION, CALIBRATION, {"n": 2}, (), 0)
    assert undone(aside, [*TASKS[:3], other, TASKS[4]]) == ["unet", CALIBRATION, "int8 unet"]


def test_a_part_that_is_gone_or_changed_is_made_again(aside: Path) -> None:
    (aside / "vae_decoder/openvino_model.xml").unlink()
    (aside / "vae_decoder").rmdir()
    assert "vae" in undone(aside)


def test_a_task_that_is_no_longer_wanted_leaves_nothing_that_counts(aside: Path) -> None:
    assert undone(aside, TASKS[:3]) == ["unet"], "it is quantized"


def test_pictures_are_judged_again_where_a_graph_is_quantized_again(aside: Path) -> None:
    judged = Task(MEASURE, "likeness", {}, (), 0)
    tasks = [*TASKS, judged]
    marks = Marks(aside, tasks)
    marks.begin(judged)
    marks.done(judged)
    assert undone(aside, tasks) == []
    other = replace(TASKS[4], order={"n": 2})
    assert MEASURE in undone(aside, [*TASKS[:4], other, judged])


def test_marks_that_cannot_be_read_are_none(aside: Path) -> None:
    (work_folder(aside) / ".done.json").write_text('{"unet": 3}')
    assert len(undone(aside)) == len(TASKS)
