"""Folders whose files were read once and found to be those that were exported: they are not read again while they stay.

A file stays the same as long as its size, its times and its inode do. A disk that loses bits changes none of these:
`--verify always` reads the files at each start.
"""

from __future__ import annotations

import hashlib
import logging
import time
from pathlib import Path

from safelight_server.model_folder import json_file, seal

log = logging.getLogger(__name__)

YOUNG = 2.0  # seconds: what was changed so lately may be changed again without another time

Stamps = dict[str, list[int]]


class Verified:
    """`folder`: where it is written down, by the path of a model's folder; None: nowhere, and all is read each time."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def knows(self, model: Path, sealed: str) -> bool:
        """Whether all its files are as they were when they were read under this seal. Raises what seal.covered does."""
        if self._folder is None or not sealed:
            return False
        try:
            told = json_file.read(self._file(model))[1]
        except (OSError, ValueError):
            return False
        return told == {"seal": sealed, "files": _stamps(model)}

    def note(self, model: Path, sealed: str, before: Stamps) -> None:
        """They were read, and they were right; `before`: their stamps before that."""
        if self._folder is None or not sealed or before != _stamps(model) or _newest(before) > time.time() - YOUNG:
            return
        try:
            json_file.write(self._file(model), {"seal": sealed, "files": before})
        except OSError as error:
            log.warning("that %s was checked is not kept for the next start: %s", model, error)

    def stamps(self, model: Path) -> Stamps:
        """Nothing where nothing is written down."""
        return _stamps(model) if self._folder is not None else {}

    def _file(self, model: Path) -> Path:
        assert self._folder is not None
        return self._folder / f"{hashlib.sha256(str(model.resolve()).encode()).hexdigest()[:32]}.json"


def _stamps(model: Path) -> Stamps:
    """By path: size, times of its content and of its inode in nanoseconds, inode."""
    stats = {name: path.stat() for name, path in seal.covered(model).items()}
    return {name: [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino] for name, stat in stats.items()}


def _newest(stamps: Stamps) -> float:
    return max((max(stamp[1:3]) for stamp in stamps.values()), default=0) / 1e9
