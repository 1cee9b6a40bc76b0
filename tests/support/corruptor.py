"""Ways in which a model folder on a disk goes bad: each changes one thing, chosen by a seeded generator."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

from safelight_server.model_folder.manifest import NAME

PAGE = 4096

Corruption = Callable[[Path, Random], bool]  # False where it would change nothing; then the folder is as it was


def copy(sealed: Path, target: Path) -> Path:
    """A folder of hard links, which costs no time: every corruption replaces the files that it changes by new ones."""
    return Path(shutil.copytree(sealed, target, copy_function=os.link))


def corrupt(sealed: Path, target: Path, name: str, random: Random) -> Path:
    """A copy with one of CORRUPTIONS, which is tried again until it changes something."""
    folder = copy(sealed, target)
    while not CORRUPTIONS[name](folder, random):
        pass
    return folder


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _rewrite(path: Path, changed: bytes) -> bool:
    if path.read_bytes() == changed:
        return False
    path.unlink()
    path.write_bytes(changed)
    return True


def _flip(folder: Path, random: Random) -> bool:
    path = random.choice(files(folder))
    data = bytearray(path.read_bytes())
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return _rewrite(path, bytes(data))


def _truncate(folder: Path, random: Random) -> bool:
    path = random.choice(files(folder))
    return _rewrite(path, path.read_bytes()[: random.randrange(path.stat().st_size + 1)])


def _zero_page(folder: Path, random: Random) -> bool:
    path = random.choice(files(folder))
    data = bytearray(path.read_bytes())
    start = random.randrange(0, len(data), PAGE)
    data[start : start + PAGE] = bytes(len(data[start : start + PAGE]))
    return _rewrite(path, bytes(data))


def _swap(folder: Path, random: Random) -> bool:
    one, other = random.sample(files(folder), 2)
    first, second = one.read_bytes(), other.read_bytes()
    return _rewrite(one, second) and _rewrite(other, first)


def _delete(folder: Path, random: Random) -> bool:
    """Deletes any file but safelight.json: a folder without that is as `optimum-cli` writes it, and is not refused."""
    random.choice([path for path in files(folder) if path.name != NAME]).unlink()
    return True


def _append(folder: Path, random: Random) -> bool:
    path = random.choice(files(folder))
    return _rewrite(path, path.read_bytes() + random.choice((b"\0", b" ", b"\n")))


def _places(folder: Path) -> list[Path]:
    return [folder, *(path for path in sorted(folder.rglob("*")) if path.is_dir())]


def _extra_file(folder: Path, random: Random) -> bool:
    """A file that the server would read, if it were there."""
    name = random.choice(("tokenizer/vocab.json", "tokenizer_2/merges.txt"))
    return bool((folder / name).write_bytes(b"{}"))


def _link_out(folder: Path, random: Random, paths: list[Path]) -> bool:
    """Moves something out of the folder and links to it: the same bytes, but others may be able to change them."""
    path = random.choice(paths)
    outside = folder.with_name(f"{folder.name}-outside")
    path.rename(outside)
    path.symlink_to(outside)
    return True


def _link_file(folder: Path, random: Random) -> bool:
    return _link_out(folder, random, files(folder))


def _link_folder(folder: Path, random: Random) -> bool:
    return _link_out(folder, random, _places(folder)[1:])


def _rename(folder: Path, random: Random) -> bool:
    path = random.choice(files(folder) + _places(folder)[1:])
    path.rename(path.with_name(f"{path.name}.old"))
    return True


def _pipe(folder: Path, random: Random) -> bool:
    path = random.choice(files(folder))
    path.unlink()
    os.mkfifo(path)
    return True


CORRUPTIONS: dict[str, Corruption] = {
    "flip": _flip,
    "truncate": _truncate,
    "zero page": _zero_page,
    "swap": _swap,
    "delete": _delete,
    "append": _append,
    "extra file": _extra_file,
    "file linked out": _link_file,
    "folder linked out": _link_folder,
    "rename": _rename,
    "pipe": _pipe,
}
