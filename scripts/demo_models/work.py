"""The folder of a training, and how much of everything it does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Work:
    """`quick`: a few icons and steps of everything, to see that all stages run; nothing worth looking at comes out."""

    folder: Path
    quick: bool = False

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    def some(self, count: int, quick: int) -> int:
        return min(count, quick) if self.quick else count
