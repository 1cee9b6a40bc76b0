"""Lists and hashes the files of a folder that someone may have changed. Opens nothing but plain files."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from threading import Event, Lock

from safelight_server.errors import LoadError

from .layout import blob, is_read

OnProgress = Callable[[int], None]  # called with how many more bytes are hashed

AS_IT_IS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # Windows has neither, nor such pipes
BLOCK = 2**20


def files_below(folder: Path, under: str) -> dict[str, Path]:
    """All files of a folder and of those in it, by their paths in the folder, `under` before each.

    A link of the hub's cache counts as the file that it leads to. Raises LoadError for what cannot be read, and for
    what is to be read and is neither a file nor a folder: it is never opened.
    """
    files = {}
    try:
        for name, entry in all_below(folder, under):
            path = Path(entry.path)
            if entry.is_file(follow_symlinks=False):
                files[name] = path
            elif found := blob(path, folder) if entry.is_symlink() else None:
                files[name] = found
            elif is_read(name):
                kind = "a link" if entry.is_symlink() else "a pipe, a socket or a device"
                raise LoadError(f"{printable(path)}: must be a file or a folder, as was exported, not {kind}")
    except OSError as error:
        raise LoadError(f"{printable(Path(error.filename))}: cannot be read: {error.strerror}") from None
    return files


def all_below(folder: Path, under: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """All that is not a folder, in a folder and those in it, with its path as in `files_below`. Raises OSError."""
    # Without recursion: someone may have put a thousand folders into each other, which is too deep for Python's calls.
    pending = [(under, str(folder))]
    while pending:
        under, path = pending.pop()
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append((f"{under}{entry.name}/", entry.path))
                else:
                    yield under + entry.name, entry


def hash_each(files: Mapping[str, Path], on_digest: Callable[[str, str], None], on_progress: OnProgress) -> None:
    """Hashes all files, two at a time; `on_digest` gets each name and its SHA-256, in the order of `files`.

    Either callback may raise an exception: that ends the hashing, and is raised here. LoadError for a file that cannot
    be read.
    """
    stopped, lock = Event(), Lock()

    def report(count: int) -> None:
        if stopped.is_set():
            raise CancelledError
        with lock:
            on_progress(count)

    with ThreadPoolExecutor(2) as pool:
        try:
            for name, digest in zip(files, pool.map(lambda path: _sha256(path, report), files.values()), strict=True):
                on_digest(name, digest)
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)


def _sha256(path: Path, on_progress: OnProgress) -> str:
    digest = hashlib.sha256()
    for block in _blocks(path):
        digest.update(block)
        on_progress(len(block))
    return digest.hexdigest()


def _blocks(path: Path) -> Iterator[memoryview]:
    """The file's bytes, piece by piece. All pieces share one buffer: each is valid until the next is read."""
    block = memoryview(bytearray(BLOCK))
    try:
        # What has become a link or a pipe since it was listed is neither followed nor waited for.
        with open(os.open(path, os.O_RDONLY | AS_IT_IS), "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError("it is not a regular file")
            while count := file.readinto(block):
                yield block[:count]
    except OSError as error:
        raise LoadError(f"{printable(path)}: cannot be read: {error.strerror or error}") from None


def printable(path: Path) -> str:
    """The path as it can stand in a line of text: a name in a folder that someone changed may hold a line break."""
    return str(path) if str(path).isprintable() else ascii(str(path))
