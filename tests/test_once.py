"""tests/support/once.py: what many processes ask for at the same time is made by one of them, and found by all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support import once

ASKING = """
import sys, time
from pathlib import Path
from support import once

def make(folder):
    with Path(sys.argv[1], "made").open("a") as file:
        file.write("once ")
    folder.mkdir()
    time.sleep(0.2)
    (folder / "part").touch()

print((once.made(Path(sys.argv[1], "final"), make) / "part").exists())
"""


def test_of_many_that_ask_at_once_one_makes_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ASKING, str(tmp_path)]
    asking = [
        subprocess.Popen(command, cwd=Path(once.__file__).parents[1], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert [process.communicate()[0] for process in asking] == ["True\n"] * 4
    assert (tmp_path / "made").read_text() == "once "


def test_what_was_given_up_is_made_anew(tmp_path: Path) -> None:
    def fails(folder: Path) -> None:
        folder.mkdir()
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - whatever it is
        once.made(tmp_path / "final", fails)
    assert not (tmp_path / "final").exists()
    assert once.made(tmp_path / "final", Path.mkdir).is_dir()
