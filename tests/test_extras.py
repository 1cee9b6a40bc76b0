"""The lines that messages and documents give for installing: each names what its extra needs, and pip takes it."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

import pytest
from safelight_server import extras
from safelight_server.commands import export
from support.command_line import run

ROOT = Path(__file__).parents[1]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
INSTALL = re.compile(r"pip install ([^`\n]*)")


def bounds(requirement: str) -> tuple[str, frozenset[str]]:
    """Its name and its bounds, in whatever order they stand."""
    found = re.fullmatch(r"([\w.-]+)(.*)", requirement)
    assert found
    return found[1].lower(), frozenset(filter(None, found[2].split(",")))


@pytest.mark.parametrize("extra", ["http", "export"])
def test_the_line_names_all_that_the_extra_needs(extra: str) -> None:
    python, *words = shlex.split(extras.install_line(extra))
    assert (python, words[:3]) == (sys.executable, ["-m", "pip", "install"])
    assert {bounds(word) for word in words[3:]} == {bounds(wanted) for wanted in EXTRAS[extra]}


def test_pip_takes_the_line() -> None:
    # pip is not looked for as a module: setuptools warns of that, where distutils was imported before.
    if find_spec("starlette") is None or not any(distributions(name="pip")):
        pytest.skip("needs pip and the extra [http]")
    words = shlex.split(extras.install_line("http"))  # all of it is here, so nothing is fetched
    done = subprocess.run([*words, "--dry-run", "--no-index", "--no-deps"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Would install" not in done.stdout


def test_a_path_with_a_space_stays_one_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/home/a b/python")
    assert shlex.split(extras.install_line("http"))[0] == "/home/a b/python"


def test_export_without_its_extra_gives_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "find_spec", lambda name: None)
    lacks = "safelight-server: export needs the extra [export], and there is no torch"
    assert run("export", "./a", "./b").err == f"{lacks}: {extras.install_line('export')}\n"


def test_nothing_tells_to_install_our_packages_by_a_bare_name() -> None:
    """No index has them: they are a path or an address, as in `./client`, `'.[http]'`, `"safelight @ git+..."`."""
    patterns = ("*.md", "docs/**/*.md", "client/*.md", "examples/*", "client/safelight/**/*.py", "server/**/*.py")
    told = [
        line for pattern in patterns for file in ROOT.glob(pattern) for line in INSTALL.findall(file.read_text("utf-8"))
    ]
    assert len(told) > 5
    words = [word.strip("\"'") for line in told for word in re.findall(r"\"[^\"]*\"|'[^']*'|\S+", line)]
    assert [word for word in words if re.fullmatch(r"safelight(-server)?(\[.*\])?([=<>].*)?", word)] == []
