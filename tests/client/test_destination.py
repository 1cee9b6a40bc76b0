"""Where `safelight` writes: found out before anything is drawn, and a picture that was drawn is not lost."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from safelight.__main__ import main
from safelight.pictures import save_picture
from support import fake_server as fake
from support.fake_server import FakeServer, serve
from support.files import opened, written


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    """A server at the default address, and an empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    with serve() as server:
        monkeypatch.setenv("SAFELIGHT_ADDRESS", server.address)
        yield server


DRAWING = [["generate", "p"], ["stream", "p"], ["refine", "source.png", "p"]]


@pytest.mark.parametrize("command", DRAWING, ids=lambda command: command[0])
@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["-o", "apple.xyz"], "'.xyz'; known are .png, .jpg, .jpeg, .webp"),
        (["-o", "apple.psd"], "'.psd'"),
        (["-o", "apple.xbm"], "'.xbm'"),  # Pillow writes it, but has no colours there
        (["-o", "apple.png", "--format", "webp"], "--format webp contradicts -o apple.png"),
        (["-o", "apple.bmp", "--format", "png"], "--format png contradicts -o apple.bmp"),
        (["-o", "there.png"], "there.png: is there already; --force replaces it"),
        (["-o", "apple.png", "-n", "2"], "apple-1.png: is there already"),
        (["-o", "there.png/apple.png"], "-o there.png/apple.png: "),
        (["-o", "there.png/"], "-o there.png/: "),
        (["-o", "a" * 300 + ".png"], "File name too long"),
        (["-o", "a" * 250 + ".png"], "File name too long"),  # with the suffix of a file that is not whole yet
        (["-o", "-", "-n", "2"], "takes one picture, not 2"),
        (["-o", "pipe", "-n", "2"], "takes one picture, not 2"),
        (["-o", "-", "--json"], "both write to stdout"),
    ],
)
def test_what_cannot_be_written_is_told_before_it_is_drawn(
    server: FakeServer, capsys: pytest.CaptureFixture[str], command: list[str], options: list[str], text: str
) -> None:
    for name in ("there.png", "apple-1.png", "source.png"):
        written(Path(name), fake.picture())
    os.mkfifo("pipe")
    try:
        code: object = main([*command, *options])
    except SystemExit as exit:
        code = exit.code
    told = capsys.readouterr()
    assert (code, told.out, server.requests) == (2, "", [])
    assert text in told.err
    assert len(told.err.splitlines()) == 1
    assert Path("there.png").read_bytes() == fake.picture()


@pytest.mark.parametrize("command", DRAWING[:2], ids=lambda command: command[0])
def test_missing_folders_are_made(server: FakeServer, command: list[str]) -> None:
    assert main([*command, "-o", "not/there/apple.png"]) == 0
    assert main([*command, "-o", "nor/this/"]) == 0
    assert opened("not/there/apple.png").format == opened("nor/this/safelight-7.png").format == "PNG"
    assert not list(Path().rglob("*.part"))


def test_force_replaces(server: FakeServer) -> None:
    written(Path("apple-1.png"), b"old")
    assert main(["generate", "p", "-o", "apple.png", "-n", "2", "--force"]) == 0
    assert opened("apple-1.png").format == "PNG"


def test_in_a_folder_nothing_is_replaced(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        assert main(["generate", "p", "-q"]) == 0
    assert capsys.readouterr().out.split() == ["safelight-7.png", "safelight-7-2.png", "safelight-7-3.png"]


@pytest.mark.parametrize("place", ["-", "/dev/stdout"])
@pytest.mark.parametrize("command", DRAWING[:2], ids=lambda command: command[0])
def test_stdout_has_the_picture_and_nothing_else(server: FakeServer, command: list[str], place: str) -> None:
    argv = [sys.executable, "-m", "safelight", *command, "-o", place]
    done = subprocess.run(argv, capture_output=True, check=True)
    assert done.stdout == fake.picture()
    with Path("apple.png").open("wb") as file:
        subprocess.run(argv, stdout=file, stderr=subprocess.DEVNULL, check=True)
    assert Path("apple.png").read_bytes() == fake.picture()


def test_a_pipe_gets_the_picture(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo("pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(Path("pipe").read_bytes()))
    reader.start()
    assert main(["generate", "p", "-o", "pipe", "--format", "jpeg", "-q"]) == 0
    reader.join()
    assert read == [fake.picture()]  # as it came
    assert capsys.readouterr().out == "pipe\n"
    assert main(["generate", "p", "-o", os.devnull, "-q"]) == 0


def test_a_picture_that_cannot_be_written_any_more_is_kept_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    def draw(request: object, context: object) -> object:
        Path("gone").rmdir()
        return fake.answer(fake.image())

    with serve(generate=draw) as server:
        assert main(["generate", "p", "-o", "gone/apple.png", "-q", "--address", server.address]) == 0
    told = capsys.readouterr()
    assert "is kept as" in told.err
    assert Path(told.out.strip()).read_bytes() == fake.picture()


def test_a_preview_is_checked_too(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stream", "p", "--preview", "now.xyz"]) == 2
    assert "--preview now.xyz" in capsys.readouterr().err
    assert main(["stream", "p", "--preview", "new/now.jpg", "-q"]) == 0
    assert opened("new/now.jpg").format == "JPEG"


def test_save_writes_into_a_pipe(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    save_picture(f"/dev/fd/{writing}", fake.picture(), "png")
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == fake.picture()
