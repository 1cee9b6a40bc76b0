"""The shell scripts run in bash 3.2 too, which is what macOS has."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = [
    file
    for file in (*sorted((ROOT / "scripts").iterdir()), ROOT / ".ci/run")
    if file.is_file() and file.read_bytes().startswith(b"#!/usr/bin/env bash")
]
NEWER = re.compile(r"declare -A|\bmapfile\b|\breadarray\b|\$\{\w+(,,|\^\^|@[A-Z])|&>>|\|&|\bcoproc\b|wait -n")
EXPANDED = re.compile(r'(?<!\+)"\$\{(\w+)\[@\]\}"')  # without the ${name[@]+...} that an empty one needs under set -u


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_is_for_bash_3(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert not NEWER.search(text)
    assert "set -euo pipefail" in text
    for name in EXPANDED.findall(text):
        assert re.search(rf"^{name}=\([^)]", text, re.MULTILINE), f"{name} may be empty"
    if bash := shutil.which("bash"):
        assert subprocess.run([bash, "-n", str(script)], check=False).returncode == 0


def test_the_scripts_are_found() -> None:
    assert {"demo", "install", "with_server", "test", "run"} <= {script.name for script in SCRIPTS}
