"""Seals a model folder, and finds out whether anything in it has changed since.

The seal is two keys of safelight.json. `files`: the SHA-256 of every file of the model, also of the parts that are read
from a folder beside. `seal`: the SHA-256 of safelight.json itself, as it is with zeros in place of these 64 digits.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from reprlib import repr as brief
from typing import Any

from safelight_server.errors import LoadError

from . import json_file
from . import manifest as manifests
from .hashing import OnProgress, all_below, files_below, hash_each, printable
from .layout import blob, is_read
from .manifest import NAME, Manifest

HASH = re.compile(r"[0-9a-f]{64}")
UNSEALED = "0" * 64
END = re.compile(rb'"seal": "[0-9a-f]{64}"\s*}\s*$')  # how a sealed safelight.json ends


def write(folder: Path, values: Mapping[str, Any]) -> None:
    """Writes safelight.json with these values and the seal of the folder as it is now.

    Raises LoadError for a folder that cannot be sealed, and what `manifest.parse` raises for values that do not fit.
    """
    aside = folder / f".{NAME}"
    aside.unlink(missing_ok=True)  # it may be there if a process was killed as it sealed this folder
    values = {key: value for key, value in values.items() if key not in ("files", "seal")}
    hashes: dict[str, str] = {}
    hash_each(_files(folder, manifests.parse(folder, values)), hashes.__setitem__, lambda count: None)
    text = json.dumps({**values, "files": hashes, "seal": UNSEALED}, indent=2) + "\n"
    seal = hashlib.sha256(text.encode()).hexdigest()
    aside.write_text(seal.join(text.rsplit(UNSEALED, 1)), encoding="utf-8")
    aside.replace(folder / NAME)


def check(folder: Path, on_progress: OnProgress = lambda count: None) -> bool:
    """Whether the folder has a seal. Raises LoadError for the first thing that is not as it was sealed.

    An exception that `on_progress` raises ends the check, and is raised here.
    """
    sealed = _sealed_files(folder)
    if sealed is None:
        return False
    files = _files(folder, manifests.read(folder))
    if missing := sealed.keys() - files.keys():
        raise LoadError(f"{printable(folder / min(missing))}: is missing; {NAME} of {folder} lists it")
    # What nothing reads may come and go: a README, a .gitattributes of the hub's, a .DS_Store.
    if added := {path for path in files.keys() - sealed.keys() if is_read(path)}:
        raise LoadError(f"{printable(files[min(added)])}: was not exported; {NAME} of {folder} lists no such file")

    def compare(path: str, digest: str) -> None:
        if digest != sealed[path]:
            raise LoadError(
                f"{printable(files[path])}: is not the file that was exported with {folder}: "
                f"its SHA-256 must be {sealed[path]}, not {digest}"
            )

    hash_each({path: files[path] for path in sealed}, compare, on_progress)
    return True


def covered(folder: Path) -> dict[str, Path]:
    """The files that `check` hashes, by the paths under which the seal lists them; none where there is no seal.

    Raises LoadError as `check` does, except for files that have changed: none is hashed here.
    """
    sealed = _sealed_files(folder)
    if sealed is None:
        return {}
    return {path: file for path, file in _files(folder, manifests.read(folder)).items() if path in sealed}


def size(folder: Path) -> int:
    """How many bytes `check` hashes. Raises what `covered` raises."""
    return sum(path.stat().st_size for path in covered(folder).values())


def _sealed_files(folder: Path) -> Mapping[str, str] | None:
    """The files that the seal lists, with their SHA-256; None where there is no seal.

    Raises LoadError for a safelight.json that is not as it was sealed.
    """
    path = folder / NAME
    if not folder.is_dir():
        raise LoadError(f"{folder}: must be a folder")
    try:
        raw, values = json_file.read(path) if os.path.lexists(path) else (b"", {})
    except (OSError, ValueError) as error:
        raise LoadError(f"{path}: cannot be read as JSON: {error}") from None
    if "files" not in values and "seal" not in values:
        _check_strays(folder)
        return None
    if path.is_symlink() and blob(path, folder) is None:
        raise LoadError(f"{path}: must be a file, as it was sealed, not a link")
    if "files" not in values or "seal" not in values:
        raise LoadError(f"{path}: must have both files and seal, or neither")
    _check_seal(path, raw, values["seal"])
    return _check_entries(path, values["files"])


def _check_strays(folder: Path) -> None:
    """Raises LoadError for a sealed safelight.json under another name.

    There the folder was sealed, and somebody moved its manifest away.
    """
    with suppress(OSError):  # a folder with no seal may hold what we cannot read
        for _, entry in all_below(folder, ""):
            if entry.is_file(follow_symlinks=False) and END.search(_last_bytes(entry)):
                raise LoadError(f"{printable(Path(entry.path))}: is a sealed {NAME}, and must have that name")


def _last_bytes(entry: os.DirEntry[str]) -> bytes:
    with open(entry.path, "rb") as file:
        file.seek(max(0, entry.stat().st_size - 128))
        return file.read(128)


def _check_seal(path: Path, raw: bytes, seal: Any) -> None:
    if not (isinstance(seal, str) and HASH.fullmatch(seal)):
        raise LoadError(f"{path}: seal must be 64 hexadecimal digits, not {brief(seal)}")
    before, _, after = raw.rpartition(seal.encode())
    digest = hashlib.sha256(before + UNSEALED.encode() + after).hexdigest()
    if digest != seal:
        raise LoadError(f"{path}: is not as it was sealed: its seal must be {digest}, not {seal}")


def _check_entries(path: Path, files: Any) -> Mapping[str, str]:
    """The value of `files`, if it is what `write` writes there. Else raises LoadError."""
    if not isinstance(files, dict):
        raise LoadError(f"{path}: files must be paths and their SHA-256, not {type(files).__name__}")
    for name, digest in files.items():
        if any(part in ("", ".", "..") for part in name.split("/")):  # an absolute path begins with an empty part
            raise LoadError(f"{path}: files must be paths within the folder, without '..', not {brief(name)}")
        if not (isinstance(digest, str) and HASH.fullmatch(digest)):
            raise LoadError(
                f"{path}: files must give each path 64 hexadecimal digits, not {brief(digest)} to {brief(name)}"
            )
    return files


def _files(folder: Path, manifest: Manifest) -> dict[str, Path]:
    """All files of the folder except safelight.json, and those of the parts that it reads from a folder beside."""
    files = files_below(folder, "")
    files.pop(NAME, None)
    for part, beside in manifest.shared:
        if os.path.lexists(folder / part):
            raise LoadError(f"{folder / part}: must not be there, as {NAME} says that this part is read from {beside}")
        if manifest.part(part).is_symlink():
            raise LoadError(f"{manifest.part(part)}: must be a folder, as was exported, not a link")
        files |= files_below(manifest.part(part), f"{part}/")
    return dict(sorted(files.items()))
