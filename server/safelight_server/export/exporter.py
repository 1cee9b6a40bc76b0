"""An export: a process for each part, aside; what was made is kept over a stop; the folder appears when it is whole."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from safelight_server.errors import LoadError
from safelight_server.model_folder import json_file, seal
from safelight_server.model_folder.manifest import NAME

from . import process, record, sharing
from . import source as sources
from .plan import CALIBRATION, Job, Options, jobs
from .process import Told
from .source import Source

DONE = ".done.json"  # which jobs are done: their fingerprints, and the folders that they made
Marks = dict[str, list[str]]


@dataclass(frozen=True)
class Export:
    """All that is known before the first weight is loaded. `hashes`: the SHA-256 of the checkpoint's files."""

    source: Source
    options: Options
    aside: Path
    hashes: dict[str, str]
    shared: dict[str, str]
    jobs: list[Job]

    @property
    def bytes(self) -> int:
        return sum(job.bytes for job in self.jobs)


def prepare(source: Source, options: Options) -> Export:
    """Raises LoadError for what cannot be begun."""
    aside = options.output.absolute().with_name(f".{options.output.name}.partial")
    hashes = sources.digests(source.files)
    shared = sharing.shared(options, hashes)
    export = Export(source, options, aside, hashes, shared, jobs(source, options, aside, frozenset(shared)))
    if not aside.parent.is_dir():
        raise LoadError(f"{aside.parent}: is not there; the folder to make must lie in one that is")
    free = shutil.disk_usage(aside.parent).free
    if export.bytes > free:
        raise LoadError(f"{aside.parent}: has {free / 1e9:.1f} GB free, and this may need {export.bytes / 1e9:.1f} GB")
    return export


def run(export: Export, told: Told) -> None:
    """Raises LoadError, one line; then the folder is not there, and what is done is kept for the same command."""
    try:
        _run(export, told)
    except OSError as error:
        raise LoadError(f"{error.filename or export.aside}: {error.strerror or error}") from None


def _run(export: Export, told: Told) -> None:
    export.aside.mkdir(exist_ok=True)
    done = _kept(_done(export.aside), export.jobs)
    record.describe(export.source, export.options, export.aside, export.shared)
    for job in export.jobs:
        if job.name not in done:
            done = {name: mark for name, mark in done.items() if name not in _spoilt(job, export.jobs)}
            _note(export.aside, done)
            process.do(job, export.aside, told)
            done[job.name] = [job.fingerprint, *job.makes]
            _note(export.aside, done)
        told(job, job.bytes)
    _finish(export)


def _spoilt(job: Job, jobs: list[Job]) -> set[str]:
    """The job, and those after it that read or remake its folders."""
    later = jobs[jobs.index(job) + 1 :]
    return {job.name} | {
        other.name for other in later if other.name == CALIBRATION or set(other.makes) & set(job.makes)
    }


def _kept(done: Marks, jobs: list[Job]) -> Marks:
    """The marks that still hold: a job that was done otherwise, or is not wanted now, spoilt the folders it made."""
    wanted = {job.name: job.fingerprint for job in jobs}
    spoilt = {folder for name, (mark, *makes) in done.items() if wanted.get(name) != mark for folder in makes}
    return {
        name: [mark, *makes]
        for name, (mark, *makes) in done.items()
        if wanted.get(name) == mark and not spoilt & set(makes)
    }


def _done(aside: Path) -> Marks:
    try:
        return json_file.read(aside / DONE)[1]
    except (OSError, ValueError):
        return {}


def _note(aside: Path, done: Marks) -> None:
    partial = aside / f"{DONE}.partial"
    partial.write_text(json.dumps(done), encoding="utf-8")
    partial.replace(aside / DONE)


def _finish(export: Export) -> None:
    """Seals the folder and puts it in its place."""
    parts = {part for job in export.jobs for part in job.makes} | {"scheduler", "model_index.json", NAME}
    for path in export.aside.iterdir():
        if path.name not in parts:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    told = record.manifest(export.source, export.options, export.aside, export.shared, export.hashes)
    seal.write(export.aside, told)
    export.aside.rename(export.options.output.absolute())
