"""safelight-server demo: a prompt is drawn at once; without one, both doors, and a page that is there at once."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from support.command_line import run
from support.files import opened

pytest.importorskip("starlette", reason="the extra [http] is not installed here")


def test_the_page_is_there_at_once_and_the_models_when_they_are_loaded(tmp_path: Path) -> None:
    log = tmp_path / "log"
    words = ["demo", "--no-browser", "--http=127.0.0.1:0", "--listen=127.0.0.1:0"]
    with log.open("w") as file:
        command = [sys.executable, "-m", "safelight_server", *words]
        process = subprocess.Popen(command, stderr=file, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    try:
        page = wait_for(log, r"addresses are at (http://\S+)")
        with urllib.request.urlopen(page, timeout=30) as answer:
            assert b"Safelight" in answer.read()
        wait_for(log, r"ready: (serving)")
        with urllib.request.urlopen(f"{page}/api/models", timeout=30) as answer:
            names = [model["name"] for model in json.load(answer)["models"]]
        assert names == ["demo-xl", "demo-vega", "demo-refiner"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def wait_for(log: Path, words: str) -> str:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if found := re.search(words, log.read_text(encoding="utf-8")):
            return found.group(1)
        time.sleep(0.1)
    raise AssertionError(log.read_text(encoding="utf-8"))


def demo(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "safelight_server", "demo", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=250, check=False)


def test_a_prompt_is_drawn_and_the_server_stopped(tmp_path: Path) -> None:
    ended = demo(tmp_path, "a red apple")
    assert ended.returncode == 0, ended.stderr
    picture, sheet, page = ended.stdout.splitlines()
    assert (Path(picture), Path(sheet)) == (tmp_path / "out/picture.png", tmp_path / "out/contact-sheet.png")
    assert page == "a page to play with: safelight-server demo"
    assert [opened(file).size[0] for file in (picture, sheet)] == [128, 960]
    assert "demo-xl: 25 steps" in ended.stderr
    log = (tmp_path / "out/server.log").read_text(encoding="utf-8")
    assert "draining: no new jobs" in log
    assert log.endswith("stopped\n")


def test_a_picture_that_cannot_be_written_is_told_and_the_server_stopped(tmp_path: Path) -> None:
    (tmp_path / "out/picture.png").mkdir(parents=True)
    ended = demo(tmp_path, "a red apple")
    assert ended.returncode == 1
    assert "picture.png" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr
    assert (tmp_path / "out/server.log").read_text(encoding="utf-8").endswith("stopped\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["an owl", "--http=:7860"], "demo: --http is for the page: give no prompt"),
        (["an owl", "--no-browser"], "demo: --no-browser is for the page: give no prompt"),
        (["--folder=x"], "demo: --folder is for a prompt, and there is none"),
    ],
)
def test_options_of_the_other_kind_are_refused(words: list[str], told: str, tmp_path: Path) -> None:
    ended = run("demo", *words)
    assert (ended.code, ended.err) == (1, f"safelight-server: {told}\n")
