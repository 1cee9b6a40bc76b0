"""The contracts of import-linter (pyproject.toml): the package keeps them, a planted wrong import does not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "server" / "safelight_server"
LINTER = Path(sys.executable).with_name("lint-imports")

LAYERS = "Imports run one way"
CIRCLES = "No module imports itself by way of others"
TOOLS = "What serves does without the tools"
GRPC = "grpc stops at its door"
PROTOBUF = "protobuf stops where a request becomes a plan"
OPENTELEMETRY = "OpenTelemetry is met where traces are made"
OPENVINO = "OpenVINO is met where networks are compiled and run"
TORCH = "The server draws without torch"

PLANTED = [
    ("lanes/lane.py", "from safelight_server.engine import engine", LAYERS),
    ("lanes/policy.py", "from safelight_server.model_folder import seal", LAYERS),
    ("new_module.py", "", LAYERS),  # a new module must be given its place
    ("samplers/steps.py", "from . import catalogue", CIRCLES),
    ("rpc/service.py", "from safelight_server.compare import quality", TOOLS),
    ("engine/slots.py", "import grpc", GRPC),
    ("contract/requests.py", "import grpc", GRPC),
    ("compare/quality.py", "from safelight.v1 import images_pb2", PROTOBUF),
    ("http/guard.py", "from safelight_server.rpc import status", LAYERS),
    ("http/a1111/routes.py", "import grpc", GRPC),
    ("engine/clock.py", "from opentelemetry import trace", OPENTELEMETRY),
    ("jobs.py", "import openvino", OPENVINO),
    ("models/loader.py", "def late() -> None:\n    import torch", TORCH),
]


class Verdict(NamedTuple):
    code: int
    broken: list[str]  # names of contracts
    kept: list[str]
    text: str


def lint(folder: Path) -> Verdict:
    """What import-linter says of the package that lies in `folder`, or of the installed one."""
    command = [str(LINTER), "--no-cache", "--no-logo", str(ROOT / "pyproject.toml")]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    names = {word: re.findall(rf"^(.+) {word}\b", ended.stdout, re.MULTILINE) for word in ("BROKEN", "KEPT")}
    return Verdict(ended.returncode, names["BROKEN"], names["KEPT"], ended.stdout + ended.stderr)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A folder with the package's Python files, which import-linter finds before the installed package."""
    for file in PACKAGE.rglob("*.py"):
        copy = tmp_path / PACKAGE.name / file.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    return tmp_path


def test_every_contract_is_kept() -> None:
    verdict = lint(ROOT)
    assert (verdict.code, verdict.broken) == (0, []), verdict.text
    assert set(verdict.kept) == {LAYERS, CIRCLES, TOOLS, GRPC, PROTOBUF, OPENTELEMETRY, OPENVINO, TORCH}


@pytest.mark.parametrize(("file", "planted", "contract"), PLANTED, ids=[f"{case[2]}: {case[0]}" for case in PLANTED])
def test_a_wrong_import_is_found(copied: Path, file: str, planted: str, contract: str) -> None:
    with (copied / PACKAGE.name / file).open("a") as end:
        end.write(f"\n\n{planted}\n")
    verdict = lint(copied)
    assert verdict.code == 1, verdict.text
    assert contract in verdict.broken, verdict.text
    assert Path(file).stem in verdict.text, verdict.text


def test_the_picture_of_the_packages_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "draw_packages.py"), "--check"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
