"""What a picture file's header says, read without Pillow and before any pixel; and how a file is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # which imports NumPy: too long for a process that unpacks one picture
    from safelight_server.arrays import Hw

Piece = bytes | memoryview


class BadPicture(ValueError):
    """A file that is no picture we read; the text is the rule and the value."""


def broken() -> BadPicture:
    """The file's structure, or its pixels, cannot be followed to their end."""
    return BadPicture("cannot be read: the file is broken or breaks off")


@dataclass(frozen=True)
class Header:
    """A picture before it is unpacked. `pieces` are views of its file: all that its pixels need, and no more."""

    file: bytes
    format: str  # as Pillow names it
    width: int  # as they are stored
    height: int
    passes: float  # how often its pixels are gone over, a plain file's being 1
    pieces: Sequence[Piece]
    orientation: int = 1  # as EXIF counts: from 5 on, width and height change places

    @property
    def upright(self) -> Hw:
        """(height, width) as it is seen."""
        return (self.width, self.height) if self.orientation >= 5 else (self.height, self.width)

    @property
    def kept(self) -> int:
        """The bytes of all pieces."""
        return sum(map(len, self.pieces))
