"""What `safelight` says to arguments that it cannot take, and of itself: one line each, and scripts for shells."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safelight.__main__ import main
from support.fake_server import serve
from support.files import written


def said(argv: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    try:
        code: object = main(argv)
    except SystemExit as exit:
        code = exit.code or 0
    told = capsys.readouterr()
    return int(str(code)), told.out, told.err


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        ([], "COMMAND"),
        (["draw"], "'draw'"),
        (["generate"], "PROMPT"),
        (["generate", "p", "--step", "3"], "--step"),  # no part of a name is taken for the whole
        (["generate", "p", "--steps", "x"], "--steps"),
        (["generate", "p", "--size", "12"], "as 768x512"),
        (["generate", "p", "--format", "gif"], "'gif'"),
        (["generate", "p", "--seed", "-2"], "seed=-2"),
        (["generate", "p", "--wait", "-1"], "above 0"),
        (["refine", "nowhere.png", "p"], "nowhere.png"),
        (["health", "--addr", "localhost"], "--addr"),
        (["again", "nowhere.png"], "nowhere.png"),
    ],
)
def test_errors_are_one_line(argv: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(argv, capsys)
    assert (code in (1, 2), out, len(err.splitlines())) == (True, "", 1)
    assert text in err
    assert err.startswith("safelight")


def test_seed_minus_one_is_by_lot_and_the_seed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with serve() as server:
        code, _, err = said(["generate", "p", "--seed", "-1", "--address", server.address], capsys)
        assert not server.requests[0].HasField("seed")
    assert code == 0
    assert "seed 7;" in err


def test_health_of_a_model_that_is_not_there_names_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    with serve() as server:
        told = said(["health", "nosuch", "--address", server.address], capsys)
    assert told == (4, "", "safelight: there is no model 'nosuch'; there are vega\n")


def test_no_server_is_one_line_that_helps(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = said(["health", "--address", "127.0.0.1:1"], capsys)
    assert code == 3
    assert err.startswith("safelight: no server at 127.0.0.1:1: start one with safelight-server serve")
    assert len(err.splitlines()) == 1


def test_a_photograph_that_is_scaled_down_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((2000, 3000), np.uint8)).save("large.png")
    with serve() as server:
        code, _, err = said(["refine", "large.png", "p", "--address", server.address], capsys)
    assert code == 0
    assert err.splitlines()[0].endswith("sent as 1024 x 682; width and height say which size is drawn")
    assert err.startswith("safelight: the picture (3000 x 2000 pixels, ")


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion(shell: str, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "safelight", "--print-completion", shell]
    script = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert "--deep-cache" in script
    assert "refine" in script
    if shell == "bash":
        path = written(tmp_path / "completion", script.encode())
        subprocess.run(["bash", "-n", str(path)], check=True)


def test_completion_without_shtab_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    code, _, err = said(["--print-completion", "bash"], capsys)
    assert code == 2
    assert f"{sys.executable} -m pip install shtab" in err
