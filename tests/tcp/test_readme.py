"""The README's own commands, run as they stand (but for the port) against a server of the demo model."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from base64 import b64decode
from pathlib import Path

import pytest
from PIL import Image
from support.servers import ServerProcess

README = Path(__file__).parents[2] / "README.md"
BIN = Path(sys.executable).parent
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
LINES = [line[2:] for kind, block in BLOCKS if kind == "console" for line in block.splitlines()]
CURLS = [line for line in LINES if line.startswith(("buf curl", "grpcurl"))]
COMMANDS = [line for line in LINES if line.startswith("safelight ")]
PYTHON = [block for kind, block in BLOCKS if kind == "python"]


def run(line: str, address: str, cwd: Path) -> str:
    words = shlex.split(line.replace("localhost:50051", address))
    tool = shutil.which(words[0], path=str(BIN)) or shutil.which(words[0])
    if tool is None:
        pytest.skip(f"{words[0]} is not to be had on this kind of machine")
    environment = os.environ | {"SAFELIGHT_ADDRESS": address}
    ended = subprocess.run(
        [tool, *words[1:]], capture_output=True, text=True, timeout=120, check=False, cwd=cwd, env=environment
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def kind_of(path: Path) -> tuple[str | None, tuple[int, int]]:
    with Image.open(path) as picture:
        return picture.format, picture.size


def test_there_is_something_to_run() -> None:
    assert len([line for line in CURLS if line.startswith("buf")]) >= 4
    assert len([line for line in CURLS if line.startswith("grpcurl")]) >= 2
    assert len(COMMANDS) >= 3
    assert PYTHON


@pytest.mark.parametrize("line", CURLS)
def test_curl(line: str, demo: ServerProcess, tmp_path: Path) -> None:
    told = run(line, demo.address, tmp_path)
    if "/Generate" in line:
        picture = Image.open(io.BytesIO(b64decode(json.loads(told)["images"][0]["data"])))
        assert picture.format == "PNG"
    elif "/Stream" in line:
        assert '"preview": {' in told
        assert '"done": {' in told
    else:
        assert "Generate" in told or "prompt" in told or "schedulers" in told


@pytest.mark.parametrize("line", COMMANDS)
def test_command(line: str, demo: ServerProcess, tmp_path: Path) -> None:
    if " again " in line:
        run(COMMANDS[0], demo.address, tmp_path)  # what is drawn again
    told = run(line, demo.address, tmp_path)
    if "-o apple.png" in line:
        assert told.strip().endswith("apple.png")
        assert kind_of(tmp_path / "apple.png") == ("PNG", (128, 128))
    if " again " in line:
        assert (tmp_path / "same.png").read_bytes() == (tmp_path / "apple.png").read_bytes()
    if "--preview" in line:
        assert kind_of(tmp_path / "preview.jpg") == ("JPEG", (128, 128))


@pytest.mark.parametrize("block", PYTHON)
def test_python(block: str, demo: ServerProcess, tmp_path: Path) -> None:
    code = block.replace("localhost:50051", demo.address)
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, cwd=tmp_path, capture_output=True)
    assert kind_of(tmp_path / "apple.png") == ("PNG", (128, 128))


def test_every_bad_field_shows_in_buf_curl(demo: ServerProcess) -> None:
    body = '{"width": 7, "steps": 0, "scheduler": "heunish"}'
    url = f"http://{demo.address}/safelight.v1.ImageService/Generate"
    command = [str(BIN / "buf"), "curl", "--protocol", "grpc", "--http2-prior-knowledge", "-d", body, url]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 3 << 3, "INVALID_ARGUMENT, as buf tells it"
    assert all(f"{field}: must be" in ended.stderr for field in ("width", "steps", "scheduler"))
