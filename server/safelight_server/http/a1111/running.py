"""What the callers of A1111's addresses draw just now: each sees, and stops, only what is its own."""

from __future__ import annotations

import base64
import time
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from safelight_server.events import Event, Image, Preview, Progress, Started

MOST_CALLERS = 256  # whose chosen models are remembered
BEGUN = 0.01  # A1111's progress before the first step: 0 means that nothing is drawn


@dataclass(eq=False)
class Watched:
    """A drawing that a call waits for."""

    job_id: str
    count: int
    step: int = 0
    steps: int = 0
    index: int = 0
    preview: bytes = b""
    interrupted: bool = False
    began: float = field(default_factory=time.time)

    def see(self, event: Event) -> None:
        if isinstance(event, Started):
            self.steps = event.steps
        elif isinstance(event, Progress):
            self.index, self.step, self.steps = event.index, event.step, event.steps
        elif isinstance(event, Preview):
            self.preview = event.data
        elif isinstance(event, Image):
            self.index, self.step = event.index + 1, 0

    @property
    def share(self) -> float:
        """What is done of it, 0 to 1."""
        done = self.index * self.steps + self.step
        return min(1.0, max(BEGUN, done / (self.count * self.steps or 1)))


class Running:
    """By callers."""

    def __init__(self) -> None:
        self._running: dict[str, list[Watched]] = defaultdict(list)
        self._chosen: OrderedDict[str, str] = OrderedDict()

    @contextmanager
    def watching(self, caller: str, watched: Watched) -> Iterator[None]:
        self._running[caller].append(watched)
        try:
            yield
        finally:
            self._running[caller].remove(watched)
            if not self._running[caller]:
                del self._running[caller]

    def of(self, caller: str) -> list[Watched]:
        """The oldest first."""
        return list(self._running.get(caller, ()))

    def choose(self, caller: str, model: str) -> None:
        """The model of this caller's requests that name none."""
        self._chosen.pop(caller, None)
        self._chosen[caller] = model
        if len(self._chosen) > MOST_CALLERS:
            self._chosen.popitem(last=False)

    def chosen(self, caller: str) -> str:
        return self._chosen.get(caller, "")


def progress(running: list[Watched], eta: float, *, with_image: bool) -> dict[str, Any]:
    """As A1111 tells it; without a drawing all is zero, for which its clients wait."""
    first = running[0] if running else None
    state = {
        "skipped": False,
        "interrupted": any(watched.interrupted for watched in running),
        "stopping_generation": False,
        "job": first.job_id if first else "",
        "job_count": sum(watched.count for watched in running),
        "job_timestamp": time.strftime("%Y%m%d%H%M%S", time.localtime(first.began)) if first else "0",
        "job_no": first.index if first else 0,
        "sampling_step": first.step if first else 0,
        "sampling_steps": first.steps if first else 0,
    }
    image = base64.b64encode(first.preview).decode() if first and first.preview and with_image else None
    share = first.share if first else 0.0
    return {"progress": share, "eta_relative": eta, "state": state, "current_image": image, "textinfo": None}
