"""The lines that messages and documents give for installing: each names what its extra needs, and pip takes it."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
from safelight_server import extras
from safelight_server.commands import export
from safelight_server.errors import LoadError
from support.command_line import run

ROOT = Path(__file__).parents[1]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
# What an installer is given: paths of this checkout, addresses, and names that PyPI has.
OURS = {"safelight", "safelight-server"}


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
    if not all(find_spec(name) for name in ("starlette", "uvicorn", "pip")):
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
    said = run("export", "./a", "./b").err
    assert said == (
        "safelight-server: export needs the extra [export], and there is no torch: " + extras.install_line("export") + "\n"
    )


def test_no_document_and_no_message_names_our_packages_as_if_an_index_had_them() -> None:
    """A word after `pip install` that is ours has a path or an address: `./client`, `'.[http]'`, `... @ git+...`."""
    files = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("client/**/*.md"),
        *ROOT.glob("examples/*"),
        *ROOT.glob("client/safelight/**/*.py"),
        *ROOT.glob("server/safelight_server/**/*.py"),
    ]
    seen = 0
    for file in files:
        for line in re.findall(r"pip install ([^`\n]*)", file.read_text(encoding="utf-8")):
            seen += 1
            named = {re.split(r"[\[=<>@ ]", word.strip("\"'"))[0] for word in re.split(r"\s+(?!@)", line) if "@" not in word}
            assert not OURS & named, f"{file.relative_to(ROOT)}: pip install {line}"
    assert seen > 5
