"""The memory that the runs of a network take: it keeps what its largest run took, until that is given back."""

from __future__ import annotations

import math
import mmap
import sys
from pathlib import Path
from types import ModuleType

resource: ModuleType | None
try:
    import resource
except ImportError:  # Windows
    resource = None

STATM = Path("/proc/self/statm")
ENOUGH = 3000  # numbers more than before: with fewer, what a run at a new shape packs anew is most of what it takes


class Buffers:
    """Of one compiled graph, whose buffers grow with its first input."""

    def __init__(self) -> None:
        self._packed = False
        self._shapes: set[tuple[int, ...]] = set()  # of all runs
        self._kept = 0  # the size of the largest run
        self._grown = 0  # how much larger than the runs before the one was that says most
        self._each: float | None = None  # bytes for each number of the input

    def note(self, shape: tuple[int, ...], grew: int) -> None:
        """A run of a new shape has ended, by which the process grew so many bytes. The first one packs weights, too."""
        size = math.prod(shape)
        self._shapes.add(shape)
        if self._packed and resource is not None and size - self._kept > max(ENOUGH, self._grown):
            self._grown = size - self._kept
            self._each = max(0, grew) / self._grown
        self._packed, self._kept = True, max(self._kept, size)

    @property
    def each(self) -> float | None:
        """Bytes for each number of the input; None: no run has shown that yet."""
        return self._each

    def recall(self, each: float) -> None:
        """As a process before this one has seen it. What is seen now counts more."""
        if self._each is None:
            self._each = each

    def keep(self, shape: tuple[int, ...]) -> None:
        """A run of a shape that ran before has ended. What it takes is kept again, if it was given back."""
        self._kept = max(self._kept, math.prod(shape))

    def has_run(self, shape: tuple[int, ...]) -> bool:
        """Whether a run of this shape takes nothing that it does not have."""
        return shape in self._shapes and math.prod(shape) <= self._kept

    def more(self, shape: tuple[int, ...]) -> int | None:
        """Bytes that a run of this shape would take beside what is kept; None: no run has shown that yet."""
        larger = math.prod(shape) - self._kept
        if larger <= 0:
            return 0
        return None if self._each is None else round(self._each * larger)

    def whole(self, shape: tuple[int, ...]) -> int | None:
        """Bytes that a run of this shape would take if nothing were kept; None: no run has shown that yet."""
        return None if self._each is None else round(self._each * math.prod(shape))

    @property
    def kept(self) -> int:
        """Bytes that are kept, and can be given back."""
        return round((self._each or 0.0) * self._kept)

    def give_back(self) -> None:
        self._kept = 0


def resident() -> int:
    """Bytes of the process that are in memory; on macOS, the most that ever were; on Windows 0, for it is not known."""
    try:
        return int(STATM.read_text(encoding="ascii").split()[1]) * mmap.PAGESIZE
    except OSError:
        if resource is None:
            return 0
        return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (1 if sys.platform == "darwin" else 1024)
