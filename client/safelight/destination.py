"""Where the command line's pictures go: checked before anything is drawn, and never over what is there."""

from __future__ import annotations

import io
import os
import stat
import sys
import tempfile
from dataclasses import dataclass
from itertools import count as count_from
from pathlib import Path

from PIL import Image

from .pictures import SUFFIXES, Format, Picture, save_picture
from .results import numbered, path_of

STDOUT = {"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"}
OTHERS = ".avif, .bmp, .gif, .tiff"  # of the formats that Pillow writes


class BadDestination(ValueError):
    """A picture cannot be written there; the text is the option, the rule and the value."""


@dataclass(frozen=True)
class Destination:
    """A place for pictures. `force` lets files be replaced."""

    place: str  # as it was given: "-", a file, a folder
    format: Format  # that the server is asked for
    force: bool = False

    @property
    def is_stdout(self) -> bool:
        return self.place in STDOUT

    @property
    def path(self) -> Path:
        return Path(self.place)

    def write(self, picture: Picture, count: int) -> Path:
        """Writes one of `count` pictures, and returns where it is. A drawn picture is not lost: see _elsewhere."""
        if self.is_stdout:
            sys.stdout.flush()
            sys.stdout.buffer.write(picture.data)
            sys.stdout.buffer.flush()
            return self.path
        path = path_of(picture, self.path, count)
        if path.is_file() and not self.force:
            path = _free(path)
        try:
            return picture.save(path)
        except BrokenPipeError:
            raise
        except OSError as error:
            return _elsewhere(picture, error)


def destination(place: str, format: Format | None, *, count: int = 1, force: bool = False) -> Destination:
    """The destination of `count` pictures, once it is known that they can be written; makes missing folders.

    Raises BadDestination.
    """
    path = Path(place)
    if place in STDOUT:
        _check_stdout(place, count)
        return Destination(place, format or "png", force)
    try:
        if _is_stream(path):
            _check_one(place, count)
            return Destination(place, format or "png", force)
        if path.is_dir() or place.endswith(("/", os.sep)):
            _check_folder(path)
            return Destination(place, format or "png", force)
        chosen = _format_of(path, format)
        _check_folder(path.parent, path.name)
        _check_free([path] if count == 1 else [numbered(path, index) for index in range(count)], force)
    except OSError as error:
        raise BadDestination(f"-o {place}: {error.strerror or error}") from None
    return Destination(place, chosen, force)


def check_preview(place: Path) -> None:
    """Makes the folder of a file that previews will replace. Raises BadDestination where they cannot."""
    try:
        _format_of(place, None, "--preview")
        if not _is_stream(place):
            _check_folder(place.parent, place.name)
    except OSError as error:
        raise BadDestination(f"--preview {place}: {error.strerror or error}") from None


def _check_stdout(place: str, count: int) -> None:
    _check_one(place, count)
    if sys.stdout.isatty():
        raise BadDestination(f"-o {place}: a picture is not written to a terminal: send it on, as with | or >")


def _check_one(place: str, count: int) -> None:
    if count > 1:
        raise BadDestination(f"-o {place}: takes one picture, not {count}: give a file or a folder")


def _is_stream(path: Path) -> bool:
    """Whether it is written to, not replaced: a pipe, a device."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _format_of(path: Path, format: Format | None, option: str = "-o") -> Format:
    """What to ask the server for: what --format says, else the suffix; PNG where the client encodes it again."""
    suffix = path.suffix.lower()
    named = next((name for name, suffixes in SUFFIXES.items() if suffix in suffixes), None)
    if suffix and named is None and not _can_encode(suffix):
        known = ", ".join(known for suffixes in SUFFIXES.values() for known in suffixes)
        raise BadDestination(f"{option} {path}: no format has the suffix {suffix!r}; known are {known}, and {OTHERS}")
    if suffix and format and format != named:
        raise BadDestination(f"--format {format} contradicts {option} {path}: leave one out")
    return format or named or "png"  # type: ignore[return-value]


def _can_encode(suffix: str) -> bool:
    """Whether Pillow can: tried on a picture that is none, for only that tells all that can go wrong."""
    encoder = Image.registered_extensions().get(suffix, "")
    try:
        Image.new("RGB", (16, 16)).save(io.BytesIO(), encoder)
    except (KeyError, OSError, ValueError):
        return False
    return True


def _check_folder(folder: Path, name: str = "picture.png") -> None:
    """Makes it, and finds out whether a file of this name, and the one before it is moved, can be made in it."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{name}.{os.getpid()}.part"
    try:
        part.touch()
    finally:
        part.unlink(missing_ok=True)


def _check_free(paths: list[Path], force: bool) -> None:
    taken = next((path for path in paths if path.exists() and (path.is_dir() or not force)), None)
    if taken is not None:
        remedy = "it is a folder" if taken.is_dir() else "--force replaces it"
        raise BadDestination(f"-o {taken}: is there already; {remedy}")


def _free(path: Path) -> Path:
    """A name like it that nothing has."""
    names = (numbered(path, number) for number in count_from(2))
    return next(name for name in names if not name.exists())


def _elsewhere(picture: Picture, error: OSError) -> Path:
    """What cannot be written where it should be, for a disk is full by now, is kept among the temporary files."""
    folder = Path(tempfile.mkdtemp(prefix="safelight-"))
    path = save_picture(folder / f"safelight-{picture.seed}.{picture.format}", picture.data, picture.format)
    print(f"safelight: {error}: the picture is kept as {path}", file=sys.stderr)
    return path
