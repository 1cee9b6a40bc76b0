"""Nothing is told to anybody outside: no look-up of a host, no other process, no file in the home folder."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.servers import ServerProcess

SCRIPTS = Path(__file__).parents[2] / "scripts"
AUDIT = """if True:
    import os, sys
    file = os.open(os.environ["AUDIT"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    sockets = "socket.getaddrinfo", "socket.gethostbyname", "socket.connect", "socket.sendto"
    def note(event, arguments):
        if event in (*sockets, "os.fork", "subprocess.Popen"):
            os.write(file, f"{event} {arguments}\\n".encode())
    sys.addaudithook(note)"""  # a forked process has it too


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The file in which each process of this test notes what it does with hosts, and its home folder."""
    notes, home = tmp_path / "notes", tmp_path / "home"
    (tmp_path / "sitecustomize.py").write_text(AUDIT)
    notes.touch()
    home.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("AUDIT", str(notes))
    monkeypatch.setenv("HOME", str(home))
    for name in ("CI", "TF_BUILD", "JENKINS_URL", "NNCF_CI"):  # with one of these, nothing is reported anyway
        monkeypatch.delenv(name, raising=False)
    return notes, home


def files(home: Path) -> list[str]:
    return [str(path.relative_to(home)) for path in home.rglob("*")]


def test_a_server_asks_nobody_and_leaves_nothing(watched: tuple[Path, Path]) -> None:
    notes, home = watched
    with ServerProcess(compiles=True) as process:
        assert process.stop() == 0
    assert (notes.read_text(), files(home)) == ("", [])


@pytest.mark.skipif(not find_spec("nncf"), reason="needs the extra [export]")
@pytest.mark.parametrize("module", ["safelight_server.export.quantize", "benchmark.peers.worker", "demo_models"])
def test_the_tools_ask_nobody_and_leave_nothing(module: str, watched: tuple[Path, Path]) -> None:
    """The exporter, the processes in which the benchmark's peers work, and the training of the demo models."""
    notes, home = watched
    command = [sys.executable, "-c", f"import {module}, openvino, nncf; openvino.Core()"]
    subprocess.run(command, check=True, capture_output=True, cwd=SCRIPTS, timeout=200)
    assert (notes.read_text(), files(home)) == ("", [])
