"""What was heard of one job, over all the calls that listened to it, and what is wrong with it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import grpc

from .asking import LASTING, attach, pixels, seconds
from .serving import Connection


@dataclass
class History:
    """`last` is the last number that was heard; `at` the picture and the steps of it that were told as done."""

    job_id: str
    last: int = 0
    at: tuple[int, int] = (0, 0)
    steps: int = 0  # of a picture
    step_times: list[float] = field(default_factory=list)
    lasting: list[tuple[int, str]] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    doubled: int = 0  # numbers that were heard twice, or too late

    def hear(self, told: Any) -> None:
        kind = str(told.WhichOneof("event"))
        self.doubled += told.sequence <= self.last
        self.last = max(self.last, told.sequence)
        if kind in LASTING:
            self.lasting.append((told.sequence, kind))
        if kind == "progress":
            self.at, self.steps = (told.progress.image_index, told.progress.step), told.progress.steps
            self.step_times.append(seconds(told.progress.step_time))
        if kind == "image":
            self.pictures.append(pixels(told.image.data))

    @property
    def is_over(self) -> bool:
        return bool(self.lasting) and self.lasting[-1][1] == "done"

    def listen(self, connection: Connection, after: int | None = None) -> None:
        """Until the job ends, or the call does, however that happens."""
        try:
            for told in attach(connection, self.job_id, self.last if after is None else after):
                self.hear(told)
        except grpc.RpcError:
            return

    def listening(self, connection: Connection) -> threading.Thread:
        thread = threading.Thread(target=self.listen, args=(connection,), daemon=True)
        thread.start()
        return thread

    def wrong(self, pictures: int) -> list[str]:
        """What is not as it should be with the lasting events of a job of so many pictures."""
        numbers = [number for number, _ in self.lasting]
        kinds = [kind for _, kind in self.lasting if kind != "resumed"]
        found = [] if kinds == ["started", *["image"] * pictures, "done"] else [f"{self.job_id}: {kinds}"]
        if numbers != sorted(set(numbers)) or self.doubled:
            found.append(f"{self.job_id}: numbers {numbers}, {self.doubled} of all heard twice")
        return found
