"""What lies in a folder that someone may have changed: its files, listed and hashed. Opens nothing but plain files."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from threading import Event, Lock

from safelight_server.errors import LoadError

Told = Callable[[int], None]  # hears how many bytes more are hashed

BLOCK = 2**20


def files_below(folder: Path, under: str) -> dict[str, Path]:
    """All files below. Raises LoadError for what is neither a file nor a folder, and never opens it."""
    files = {}
    try:
        for name, entry in all_below(folder, under):
            if not entry.is_file(follow_symlinks=False):
                kind = "a link" if entry.is_symlink() else "a pipe, a socket or a device"
                raise LoadError(f"{shown(Path(entry.path))}: must be a file or a folder, as was exported, not {kind}")
            files[name] = Path(entry.path)
    except OSError as error:
        raise LoadError(f"{shown(Path(error.filename))}: cannot be read: {error.strerror}") from None
    return files


def all_below(folder: Path, under: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """All that is not a folder, with its path. Not recursive: someone may have nested folders a thousand deep."""
    pending = [(under, str(folder))]
    while pending:
        under, path = pending.pop()
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append((f"{under}{entry.name}/", entry.path))
                else:
                    yield under + entry.name, entry


def hash_each(files: Mapping[str, Path], found: Callable[[str, str], None], told: Told) -> None:
    """Finds the SHA-256 of all files, one after the other, two in work at a time; whoever hears of it may raise."""
    stopped, lock = Event(), Lock()

    def heard(count: int) -> None:
        if stopped.is_set():
            raise CancelledError
        with lock:
            told(count)

    with ThreadPoolExecutor(2) as pool:
        try:
            for path, digest in zip(files, pool.map(lambda path: _sha256(path, heard), files.values()), strict=True):
                found(path, digest)
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)


def _sha256(path: Path, heard: Told) -> str:
    digest = hashlib.sha256()
    for block in _blocks(path):
        digest.update(block)
        heard(len(block))
    return digest.hexdigest()


def _blocks(path: Path) -> Iterator[memoryview]:
    """Each is gone when the next is asked for."""
    block = memoryview(bytearray(BLOCK))
    try:
        # What has become a link or a pipe since it was listed is neither followed nor waited for.
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError("it is not a regular file")
            while count := file.readinto(block):
                yield block[:count]
    except OSError as error:
        raise LoadError(f"{shown(path)}: cannot be read: {error.strerror or error}") from None


def shown(path: Path) -> str:
    """For a line of text: a name in a folder that someone changed may hold anything."""
    return str(path) if str(path).isprintable() else ascii(str(path))
