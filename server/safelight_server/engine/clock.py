"""What a job does now, and the seconds that each of its stages took: for its callers, and for the observer."""

from __future__ import annotations

import time

from safelight_server.observer import SILENT, Observer

STAGES = ("queued", "encode", "denoise", "decode", "save")


class Clock:
    """Seconds by stage, in one job, which is "queued" now; the observer hears of each stage as it begins."""

    def __init__(self, job_id: str, observer: Observer = SILENT) -> None:
        self._job_id, self._observer = job_id, observer
        self._seconds = dict.fromkeys(STAGES, 0.0)
        self._began = self._since = time.perf_counter()
        self._stage = "queued"
        self.enter(self._stage)

    def enter(self, stage: str, image: int | None = None, model: str = "") -> None:
        """The time from now on counts to `stage`: of this image, None: of all."""
        self._count()
        self._stage = stage
        self._observer.stage_began(self._job_id, stage, image, model)

    def step(self) -> None:
        """A denoising step is done."""
        self._observer.step_ended(self._job_id)

    def timings(self) -> dict[str, float]:
        self._count()
        return self._seconds | {"total": time.perf_counter() - self._began}

    def _count(self) -> None:
        now = time.perf_counter()
        self._seconds[self._stage] += now - self._since
        self._since = now
