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


def test_links_in_the_documentation_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("client/*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")]
    for page in pages:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.relative_to(ROOT)}: {link}"


def test_the_architecture_names_files_that_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    names = re.findall(r"(?<!new )`([\w/]+(?:\.py|/))`", text)
    assert len(names) > 50
    package = ROOT / "server" / "safelight_server"
    homes = [name for name in names if name not in ("server/safelight_server/", "http/")]
    assert [name for name in homes if not (package / name).exists() and not (ROOT / name).exists()] == []
