"""What a server holds in memory: not the weight files beside the copies that its device made of them."""

from __future__ import annotations

import mmap
import re
from collections import Counter
from pathlib import Path

import pytest
from safelight_server.lanes import weight_pages
from support.servers import ServerProcess

SIZE = 2**22

pytestmark = pytest.mark.skipif(not weight_pages.MAPS.exists(), reason="of Linux alone")


def resident(ending: str, process: str = "self") -> Counter[str]:
    """Bytes of mapped files in a process's memory, by path."""
    found: Counter[str] = Counter()
    path = ""
    for line in Path(f"/proc/{process}/smaps").read_text(encoding="utf-8").splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            path = line.split(maxsplit=5)[-1]
        elif line.startswith("Rss:") and path.endswith(ending):
            found[path] += 1024 * int(line.split()[1])
    return found


@pytest.mark.parametrize("name", ["weights.bin", "a name with spaces.bin"])
def test_pages_are_let_go_and_come_back_as_they_were(name: str, tmp_path: Path) -> None:
    file, link, other = tmp_path / name, tmp_path / "link", tmp_path / f"other {name}"
    data = bytes(range(256)) * (SIZE // 256)
    for path in (file, other):
        path.write_bytes(data)
    link.symlink_to(file)
    with file.open("rb") as opened, other.open("rb") as another:
        mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        kept = mmap.mmap(another.fileno(), 0, access=mmap.ACCESS_READ)
        assert mapped[:] == kept[:] == data
        assert resident(name)[str(file)] == SIZE
        weight_pages.let_go(link)  # a model folder may be reached by a link
        assert resident(name) == {str(file): 0, str(other): SIZE}
        assert mapped[:] == data


def test_what_was_written_to_is_never_let_go(tmp_path: Path) -> None:
    file = tmp_path / "weights.bin"
    file.write_bytes(bytes(SIZE))
    with file.open("rb") as opened:
        mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_COPY)
        mapped[:5] = b"apple"
        weight_pages.let_go(file)
        assert mapped[:5] == b"apple"


def test_a_server_holds_no_weights_twice() -> None:
    with ServerProcess(compiles=True) as process:
        held = resident("openvino_model.bin", str(process.process.pid))
    assert len(held) == 8, "each file is mapped once"
    # Tables that are looked up stay where they are, in part; all else is packed anew.
    assert sum(held.values()) < 0.25 * sum(Path(path).stat().st_size for path in held)
