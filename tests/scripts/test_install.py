"""scripts/install on a system whose Python has no ensurepip, as Debian has it without python3-venv."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = ("scripts/install", "pyproject.toml", "setup.py", "client/pyproject.toml")
# What venv leaves there: an environment without pip.
PYTHON = f"""#!/bin/sh
[ "$1" = -c ] && exit 0
echo "$@" >>calls
mkdir -p .venv/bin && ln -sf {shutil.which("true")} .venv/bin/python
echo "ensurepip is not available." >&2
exit 1
"""


def test_without_venv_the_package_is_named_and_no_half_environment_is_used(tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "server/safelight_server/pixels", tmp_path / "server/safelight_server/pixels")
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.write_text(PYTHON, encoding="utf-8")
    python.chmod(0o755)
    environment = os.environ | {"PATH": f"{python.parent}:{os.environ['PATH']}"}
    for attempt in (1, 2):
        done = subprocess.run([tmp_path / "scripts/install"], env=environment, capture_output=True, text=True)
        assert done.returncode == 1
        assert "sudo apt-get install python3-venv" in done.stderr
        assert len((tmp_path / "calls").read_text().splitlines()) == attempt
    assert not list(tmp_path.glob(".venv/.installed*"))
