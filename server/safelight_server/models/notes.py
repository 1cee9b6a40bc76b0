"""What was learnt of a graph on this machine, kept in a file: a restart measures nothing, and changes no picture."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safelight_server.model_folder import json_file

log = logging.getLogger(__name__)

KEPT = 8  # surroundings for which the notes of one graph are kept: the last that were met


@dataclass
class Note:
    """Of one graph. `batches`: by signature, as rows of JSON; `seconds`: of a run, by network and shape, likewise."""

    precision: str = ""  # that it is run in; "": not measured
    tried: dict[str, float] = field(default_factory=dict)  # seconds of a run, by precision
    batches: list[Any] = field(default_factory=list)
    seconds: list[Any] = field(default_factory=list)
    bytes: dict[str, float] = field(default_factory=dict)  # for each number of the input, by network
    latent_rgb: list[Any] = field(default_factory=list)  # the preview map of a model without one: matrix and bias


class Subject:
    """A graph: `files` are digests of what it is read from; `surroundings` is all else that its speed hangs on."""

    def __init__(self, name: str, files: str, surroundings: Mapping[str, str]) -> None:
        self.name, self.files, self.surroundings = name, files, dict(surroundings)

    @property
    def file(self) -> str:
        return hashlib.sha256(self.files.encode()).hexdigest()[:32] + ".json"


class Notes:
    """By subject: in memory, and in files of `folder` if there is one. What cannot be read or written is told once."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._told: set[str] = set()  # of which the log has said that they are measured anew
        # By file: {"of": surroundings, "note": ...}, the newest first.
        self._pages: dict[str, list[dict[str, Any]]] = {}

    def read(self, subject: Subject) -> Note:
        """A new one where nothing was learnt yet, or not in these surroundings: then the log says what has changed."""
        pages = self._pages_of(subject)
        for page in pages:
            if page["of"] == subject.surroundings:
                return Note(**page["note"])
        if pages and subject.file not in self._told:
            self._told.add(subject.file)
            log.info("%s is measured anew: %s", subject.name, _difference(pages[0]["of"], subject.surroundings))
        return Note()

    def write(self, subject: Subject, note: Note) -> None:
        others = [page for page in self._pages_of(subject) if page["of"] != subject.surroundings]
        pages = [{"of": subject.surroundings, "note": asdict(note)}, *others][:KEPT]
        self._pages[subject.file] = pages
        if self._folder is not None:
            try:
                json_file.write(self._folder / subject.file, {"pages": pages})
            except OSError as error:
                log.warning("what was measured of %s is lost when this process ends: %s", subject.name, error)
                self._folder = None

    def _pages_of(self, subject: Subject) -> list[dict[str, Any]]:
        if subject.file not in self._pages:
            self._pages[subject.file] = self._stored(subject)
        return self._pages[subject.file]

    def _stored(self, subject: Subject) -> list[dict[str, Any]]:
        path = self._folder / subject.file if self._folder else None
        if path is None or not path.exists():
            return []
        try:
            pages: list[dict[str, Any]] = json_file.read(path)[1]["pages"]
            for page in pages:
                Note(**page["note"])
                dict[str, str](page["of"])
        except (OSError, ValueError, TypeError, LookupError) as error:
            log.warning("%s is measured anew: %s cannot be read: %s", subject.name, path, error)
            return []
        return pages


def _difference(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """The first thing that has changed."""
    for what in sorted(before.keys() | now.keys()):
        if before.get(what) != now.get(what):
            return f"{what} was {before.get(what)}, and is {now.get(what)}"
    return "nothing has changed"
