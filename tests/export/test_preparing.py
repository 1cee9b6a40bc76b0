"""All that can be known is told before the first weight is loaded; and what is made is not lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safelight_server.errors import LoadError
from safelight_server.export import exporter, source
from safelight_server.export.plan import Options, Task, work_folder
from safelight_server.export.work import OnProgress
from safelight_server.model_folder import seal

pytest.importorskip("optimum")
pytest.importorskip("peft")
pytestmark = [pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]  # the libraries' own


@pytest.fixture
def checkpoint(checkpoints: Path, tmp_path: Path) -> Path:
    return shutil.copytree(checkpoints / "base", tmp_path / "base")


def prepared(checkpoint: Path, **options: Any) -> exporter.Export:
    found = source.find(str(checkpoint), None, half=False, pickles=False)
    return exporter.prepare(found, Options(**{"output": checkpoint.parent / "out", "half": False, **options}))


def edit(path: str, **values: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / path).read_text(encoding="utf-8"))
        (folder / path).write_text(json.dumps(config | values), encoding="utf-8")

    return change


def nothing(folder: Path) -> None:
    """Leaves the checkpoint as it is."""


SCHEDULER = "scheduler/scheduler_config.json"
REFUSED: dict[str, tuple[Callable[[Path], object], dict[str, Any], str]] = {
    "a scheduler that is not served": (
        edit(SCHEDULER, _class_name="IPNDMScheduler"),
        {},
        f"base/{SCHEDULER}: _class_name must be one of ",
    ),
    "what helps": (edit(SCHEDULER, _class_name="IPNDMScheduler"), {}, "; --scheduler takes another"),
    "a setting that is not served": (edit(SCHEDULER, beta_schedule="odd"), {}, f"base/{SCHEDULER}: beta_schedule"),
    "a VAE's scaling": (edit("vae/config.json", scaling_factor=0), {}, "scaling_factor must be more than 0"),
    "a VAE's channels": (edit("vae/config.json", latent_channels=16), {}, "in_channels must be 16"),
    "calibrated inpainting": (
        edit("unet/config.json", in_channels=9),
        {"int8": {"unet": "ptq"}},
        "must be of kind base or refiner to be calibrated, not inpaint; of others, --int8-mode weights can be made",
    ),
    "no prompts": (
        lambda folder: (folder.parent / "empty.txt").write_text("\n"),
        {"int8": {"unet": "ptq"}, "prompts": "empty.txt"},
        "--prompts must be a text in UTF-8, a prompt a line, and ",
    ),
    "no place": (nothing, {"output": "no/out"}, "no: is not there; the folder to make must lie in one that is"),
    "a file in the way": (
        lambda folder: (folder.parent / ".out.partial").write_text(""),
        {},
        ".out.partial: is in the way; the export is made there first, in a folder",
    ),
    "into the checkpoint": (nothing, {"output": "base/out"}, "out: must not lie in the checkpoint, "),
    "over another": (nothing, {"output": "base"}, "base: is there already; export writes a new folder"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_be_refused_at_the_end_is_refused_at_once(case: str, checkpoint: Path) -> None:
    change, options, why = REFUSED[case]
    change(checkpoint)
    before = sorted(checkpoint.parent.rglob("*"))
    places = {name: checkpoint.parent / value if isinstance(value, str) else value for name, value in options.items()}
    with pytest.raises(LoadError) as raised:
        prepared(checkpoint, **places)
    assert why in str(raised.value)
    assert "safelight-" not in str(raised.value), "no path of the rehearsal"
    assert "\n" not in str(raised.value)
    assert sorted(checkpoint.parent.rglob("*")) == before


def test_a_full_disk_is_told_at_once(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(checkpoint)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(LoadError, match=r"has 0\.0 GB free, and this may need"):
        prepared(checkpoint)


def test_weights_that_do_not_fit_are_found_by_the_first_task(checkpoint: Path) -> None:
    """The text encoder is exported after the UNet, and its configuration is that of another."""
    edit("text_encoder/config.json", intermediate_size=96)(checkpoint)
    export, ran = prepared(checkpoint), []

    def execute(task: Task, log: Path, on_progress: OnProgress) -> None:
        from support.exports import in_this_process

        ran.append(task.name)
        in_this_process(task, log, on_progress)

    with pytest.raises(LoadError, match=r"text_encoder.*does not fit its config.json: .*must be \[96.*not \[64"):
        exporter.run(export, lambda task, done: None, execute)
    assert ran == ["check"]
    assert not export.options.output.exists()


def test_an_export_that_is_killed_as_it_is_sealed_makes_nothing_again(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from support.exports import in_this_process, quick_and_quiet

    def killed(folder: Path, values: object) -> None:
        raise KeyboardInterrupt

    def not_again(task: Task, log: Path, on_progress: OnProgress) -> None:
        raise AssertionError(task.name)

    export = prepared(checkpoint)
    with monkeypatch.context() as patch, quick_and_quiet():
        patch.setattr(seal, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            exporter.run(export, lambda task, done: None, in_this_process)
    assert not export.options.output.exists()
    exporter.run(prepared(checkpoint), lambda task, done: None, not_again)
    assert seal.check(export.options.output)
    assert not export.aside.exists()
    assert not work_folder(export.aside).exists()
