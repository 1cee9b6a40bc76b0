"""What must agree in several files of the project: the version, and the licence of both distributions."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import safelight
import safelight_server

ROOT = Path(__file__).parents[1]
VERSIONS = {  # where the version stands; in the changelog, the first match is the newest release
    "server/safelight_server/__init__.py": r'^__version__ = "(.+)"$',
    "client/safelight/__init__.py": r'^__version__ = "(.+)"$',
    "pyproject.toml": r'^  "safelight==(.+)",$',
    "CHANGELOG.md": r"^## \[(\d.*)\] - \d{4}-\d\d-\d\d$",
}


def versions(root: Path) -> set[str]:
    found = {file: re.search(pattern, (root / file).read_text(), re.MULTILINE) for file, pattern in VERSIONS.items()}
    assert all(found.values()), found
    return {match[1] for match in found.values() if match}


def test_the_version_is_the_same_everywhere() -> None:
    assert versions(ROOT) == {safelight.__version__} == {safelight_server.__version__}


def test_a_release_sets_the_version_everywhere(tmp_path: Path) -> None:
    for file in (*VERSIONS, "scripts/release"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    release = tmp_path / "scripts" / "release"
    assert subprocess.run([release, "12.3"], stderr=subprocess.DEVNULL).returncode == 1
    assert versions(tmp_path) == versions(ROOT)
    subprocess.run([release, "12.3.4"], check=True, stdout=subprocess.DEVNULL)
    assert versions(tmp_path) == {"12.3.4"}
    assert f"## [{safelight.__version__}]" in (tmp_path / "CHANGELOG.md").read_text()


def test_both_distributions_have_the_licence() -> None:
    assert (ROOT / "LICENSE").read_bytes() == (ROOT / "client" / "LICENSE").read_bytes()
