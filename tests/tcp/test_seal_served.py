"""Sealed folders in a real server, which checks them before it compiles anything; and the command `verify`."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest
from safelight import Client
from safelight.v1.images_pb2_grpc import ImageServiceStub
from safelight_server import demo
from safelight_server.model_folder import seal
from support import corruptor
from support.asking import generate
from support.servers import ServerProcess

WEIGHTS = "unet/openvino_model.bin"
LOG_LINE = re.compile(r"[\d-]+ [\d:]+ (info|warning) ")


@pytest.fixture(scope="module")
def sealed(folders: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(shutil.copytree(folders["base"], tmp_path_factory.mktemp("sealed") / "model"))
    seal.write(folder, {"defaults": {"steps": 2}})
    return folder


@pytest.fixture
def flipped(sealed: Path, tmp_path: Path) -> Path:
    """One bit of one weight."""
    folder = corruptor.copy(sealed, tmp_path / "flipped")
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[len(data) // 2 & ~3] ^= 1
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).write_bytes(data)
    return folder


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "safelight_server", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def drawn(*arguments: str) -> str:
    """What the server logs while it starts, and draws a picture."""
    with ServerProcess(*arguments) as process, Client(process.address) as client:
        assert client.generate("a red apple", width=64, height=64).image.size == (64, 64)
        return process.log()


def test_a_sealed_folder_is_served(sealed: Path) -> None:
    log = drawn(f"--model=m={sealed}")
    assert "model m: files are those that were exported" in log
    assert log.index("those that were exported") < log.index("loaded and warm")


def test_a_folder_without_a_seal_is_served_and_the_log_says_so(server: ServerProcess, stub: ImageServiceStub) -> None:
    assert generate(stub)
    assert "model base: has no seal; its files are not checked" in server.log()


def test_a_flipped_bit_runs_where_nobody_checks(flipped: Path) -> None:
    log = drawn(f"--model=m={flipped}", "--no-verify")
    assert "files" not in log


def refusal(*models: str) -> str:
    """The one line that is no log line of a server that does not start."""
    ended = run("serve", "--listen=127.0.0.1:0", *models)
    lines = [line for line in ended.stderr.splitlines() if not LOG_LINE.match(line)]
    assert (ended.returncode, len(lines), ended.stdout) == (1, 1, ""), ended.stderr
    assert "warm" not in ended.stderr
    return lines[0]


def test_every_kind_of_corruption_ends_the_server_with_one_line(sealed: Path, tmp_path: Path) -> None:
    random = Random(7)
    folders = [corruptor.corrupt(sealed, tmp_path / kind, kind, random) for kind in corruptor.CORRUPTIONS]
    with ThreadPoolExecutor(2) as pool:
        told = pool.map(refusal, [f"--model=m={folder}" for folder in folders])
        for folder, line in zip(folders, told, strict=True):
            assert line.startswith(f"safelight-server: {folder}"), line


def test_all_folders_are_checked_before_any_is_compiled(sealed: Path, flipped: Path) -> None:
    line = refusal(f"--model=good={sealed}", f"--model=bad={flipped}")
    assert f"{flipped / WEIGHTS}: is not the file that was exported" in line


@pytest.fixture
def verified(sealed: Path, flipped: Path, folders: dict[str, str]) -> dict[str, str]:
    return {"sealed": str(sealed), "flipped": str(flipped), "plain": folders["base"]}


@pytest.mark.parametrize(
    ("asked", "code", "out", "error"),
    [
        (["sealed"], 0, ["{sealed}: 24 files, 6.1 MB, all as exported"], ""),
        (["sealed", "sealed"], 0, ["{sealed}: 24 files, 6.1 MB, all as exported"] * 2, ""),
        (["flipped", "sealed"], 1, [], "{flipped}/unet/openvino_model.bin: is not the file that was exported"),
        (["sealed", "plain"], 1, ["{sealed}: 24 files, 6.1 MB, all as exported"], "{plain}: has no seal in safelight"),
        (["nowhere"], 1, [], "nowhere: must be a folder"),
    ],
)
def test_verify(asked: list[str], code: int, out: list[str], error: str, verified: dict[str, str]) -> None:
    ended = run("verify", *(verified.get(name, name) for name in asked))
    assert ended.returncode == code
    assert ended.stdout.splitlines() == [line.format(**verified) for line in out]
    assert error.format(**verified) in ended.stderr
    assert len(ended.stderr.splitlines()) == code


def test_the_demo_models_are_sealed() -> None:
    ended = run("verify", *map(str, demo.FOLDERS.values()))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [line.endswith("all as exported") for line in ended.stdout.splitlines()] == [True] * 3
